import { useEffect, type ReactElement, type ReactNode } from "react";

import { Link } from "../route.js";

/** A page that says why there is no other one, with a way back. */
export function Notice({ title, text, children }: { title: string; text: string; children?: ReactNode }): ReactElement {
  useEffect(() => {
    document.title = `${title} · Collaboard`;
  }, [title]);
  return (
    <main className="notice">
      <h1>{title}</h1>
      <p>{text}</p>
      <div className="notice-buttons">
        {children}
        <Link className="button" href="/">All boards</Link>
      </div>
    </main>
  );
}
