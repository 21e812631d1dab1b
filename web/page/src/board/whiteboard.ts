import { useCallback, useEffect, useState } from "react";

/** The whiteboard is most of what the page weighs, so it is loaded when it is needed. */
export type WhiteboardModule = typeof import("./excalidraw.js");

export function loadWhiteboard(): Promise<WhiteboardModule> {
  return import("./excalidraw.js");
}

/** The whiteboard, once it is loaded, or why it is not. */
export function useWhiteboard(): { module: WhiteboardModule | undefined; error: unknown; retry: () => void } {
  const [module, setModule] = useState<WhiteboardModule>();
  const [error, setError] = useState<unknown>();
  const retry = useCallback(() => {
    setError(undefined);
    loadWhiteboard().then(setModule, setError);
  }, []);
  useEffect(retry, [retry]);
  return { module, error, retry };
}
