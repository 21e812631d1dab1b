import type { ReactElement } from "react";

import { Link } from "../route.js";
import mark from "../icon.svg";

export function Logo(): ReactElement {
  return (
    <Link className="logo" href="/">
      <img src={mark} width="28" height="28" alt="" />
      Collaboard
    </Link>
  );
}
