import { useEffect, useState } from "react";

import { load, saveEntry } from "../store.js";
import type { ChatView } from "./log.js";

const most = 200; // boards

/** How many messages of others came since the chat was last read, in this browser. */
export function useUnread(boardId: string, user: string, view: ChatView, open: boolean): number {
  const newest = view.messages.findLast((m) => m.seq > 0)?.seq ?? 0;
  const [read, setRead] = useState(() => load<Record<string, number>>("read")?.[boardId]);
  useEffect(() => {
    // Who comes for the first time has missed nothing.
    if (view.loaded && (read === undefined || (open && newest > read))) {
      saveEntry("read", boardId, newest, most);
      setRead(newest);
    }
  }, [boardId, view.loaded, open, newest, read]);
  return read === undefined ? 0 : view.messages.filter((m) => m.seq > read && m.from !== user).length;
}
