import type { BoardStatus, State } from "@collaboard/sdk";
import { useEffect, useState, type ReactElement } from "react";

import { CheckIcon, CloudOffIcon, WarningIcon } from "../ui/icons.js";

export interface SaveFacts {
  readonly state: State; // of the client
  readonly connected: boolean; // at least once
  readonly writable: BoardStatus["writable"];
  readonly unsent: boolean; // a gesture or text is not submitted yet
}

export type SaveLook = "saved" | "saving" | "offline" | "lost";

/** Where the user's changes are, in words. */
export function describeSaving({ state, connected, writable, unsent }: SaveFacts): { look: SaveLook; text: string } {
  const unsaved = state.unsaved + (unsent ? 1 : 0);
  const changes = unsaved === 1 ? "1 change" : `${unsaved.toLocaleString("en")} changes`;
  const where = state.kept ? "kept on this device" : "only in this tab";
  if (state.saving === "closed") {
    return { look: "lost", text: unsaved === 0 ? "Disconnected" : `Disconnected: ${changes} ${where}` };
  }
  if (state.saving === "offline") {
    if (unsaved > 0) {
      return { look: "offline", text: `Offline: ${changes} ${where}` };
    }
    return connected ? { look: "offline", text: "Offline" } : { look: "saving", text: "Connecting…" };
  }
  if (unsaved === 0) {
    return { look: "saved", text: "Saved" };
  }
  return writable ? { look: "saving", text: "Saving…" } : { look: "offline", text: `Not saved: ${changes} ${where}` };
}

const calm = 400; // ms for which all must be saved before that is said: a line that is drawn would make it flicker

export function SaveState(facts: SaveFacts): ReactElement {
  const now = describeSaving(facts);
  const [shown, setShown] = useState(now);
  useEffect(() => {
    if (now.look !== "saved") {
      setShown(now);
      return undefined;
    }
    const timer = setTimeout(() => setShown(now), calm);
    return () => clearTimeout(timer);
  }, [now.look, now.text]);
  const { look, text } = now.look === "saved" ? shown : now;
  return (
    <div className={`save-state ${look}`} role="status" title={text}>
      {look === "saved" && <CheckIcon />}
      {look === "saving" && <span className="spinner" />}
      {look === "offline" && <CloudOffIcon />}
      {look === "lost" && <WarningIcon />}
      <span className="save-text">{text}</span>
    </div>
  );
}
