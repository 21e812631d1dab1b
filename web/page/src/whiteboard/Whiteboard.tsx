import { CaptureUpdateAction, Excalidraw } from "@excalidraw/excalidraw";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import type { Board, Client } from "@collaboard/sdk";
import { useEffect, useRef, useState, type ReactElement, type ReactNode } from "react";

import { defaultLimits } from "./batches.js";
import { Engine } from "./engine.js";

export interface WhiteboardProps {
  client: Client;
  /** Joined, or joining. */
  board: Board;
  theme: "light" | "dark";
  readOnly: boolean;
  /** The board's. */
  name: string;
  /** The connection id of the member that is followed. */
  following: string | undefined;
  /** undefined also when the user's own pan or zoom ends it. */
  onFollow(connectionId: string | undefined): void;
  /** There are changes that were not submitted yet. */
  onSaving(unsent: boolean): void;
  /** Something that a person must be told. */
  onError(message: string): void;
  /** Is put into Excalidraw. */
  children?: ReactNode;
}

export function Whiteboard(props: WhiteboardProps): ReactElement {
  const { client, board, theme, readOnly, name, children } = props;
  const [api, setAPI] = useState<ExcalidrawImperativeAPI>();
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    if (api === undefined) {
      return;
    }
    window.collaboard = { client, board, api };
    const engine = new Engine(
      board,
      {
        elements: () => api.getSceneElementsIncludingDeleted(),
        show: (elements) => api.updateScene({ elements, captureUpdate: CaptureUpdateAction.NEVER }),
        state: () => api.getAppState(),
      },
      {
        frame: (callback) => {
          const id = requestAnimationFrame(callback);
          return () => cancelAnimationFrame(id);
        },
        later: (ms, callback) => {
          const id = setTimeout(callback, ms);
          return () => clearTimeout(id);
        },
        now: () => performance.now(),
        limits: () => defaultLimits,
        unsent: (unsent) => latest.current.onSaving(unsent),
        error: (message) => latest.current.onError(message),
      });
    const stop = [api.onChange(() => engine.changed()), watchPointer((pressed) => engine.pressed(pressed))];
    return () => {
      stop.forEach((off) => off());
      engine.flush();
      engine.stop();
      delete window.collaboard;
    };
  }, [api, client, board]);

  return (
    <Excalidraw excalidrawAPI={setAPI} theme={theme} viewModeEnabled={readOnly} name={name} isCollaborating autoFocus>
      {children}
    </Excalidraw>
  );
}

declare global {
  interface Window {
    /** The open board: for the console, and for programs that embed the page. */
    collaboard?: { client: Client; board: Board; api: ExcalidrawImperativeAPI };
  }
}

/** Says when a button of the pointer goes down anywhere on the page, and when all are up. */
function watchPointer(pressed: (pressed: boolean) => void): () => void {
  const stop = new AbortController();
  const options = { capture: true, passive: true, signal: stop.signal };
  let is = false;
  const set = (now: boolean) => now !== is && pressed((is = now));
  window.addEventListener("pointerdown", () => set(true), options);
  window.addEventListener("pointerup", (event) => event.buttons === 0 && set(false), options);
  window.addEventListener("pointercancel", () => set(false), options);
  window.addEventListener("pointermove", (event) => event.buttons === 0 && set(false), options);
  window.addEventListener("blur", () => set(false), options);
  return () => stop.abort();
}
