import { useSyncExternalStore, type ComponentProps, type MouseEvent, type ReactElement } from "react";

export type Route = { page: "list" } | { page: "board"; id: string } | { page: "unknown" };

export function parseRoute(path: string): Route {
  if (path === "/") {
    return { page: "list" };
  }
  const id = /^\/b\/([^/]+)$/.exec(path)?.[1];
  return id === undefined ? { page: "unknown" } : { page: "board", id: id.toLowerCase() };
}

const navigated = "collaboard:navigated";

/** Goes before another page is shown. Whoever prevents it keeps this one. */
export const leaving = "collaboard:leaving";

// Known from the first subscription on: what is tested outside of a browser has no location.
let shown = "/";

function leave(): boolean {
  return dispatchEvent(new Event(leaving, { cancelable: true }));
}

export function navigate(to: string): void {
  if (leave()) {
    history.pushState(undefined, "", to);
    dispatchEvent(new Event(navigated));
  }
}

export function boardPath(id: string): string {
  return `/b/${id}`;
}

function subscribe(changed: () => void): () => void {
  shown = location.pathname;
  const go = () => {
    shown = location.pathname;
    changed();
  };
  const back = () => leave() ? go() : history.pushState(undefined, "", shown);
  addEventListener("popstate", back);
  addEventListener(navigated, go);
  return () => {
    removeEventListener("popstate", back);
    removeEventListener(navigated, go);
  };
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** A link within the page, which does not load it anew. New tabs and the like are left to the browser. */
export function Link({ href, ...rest }: ComponentProps<"a"> & { href: string }): ReactElement {
  const follow = (event: MouseEvent) => {
    if (event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      navigate(href);
    }
  };
  return <a href={href} onClick={follow} {...rest} />;
}
