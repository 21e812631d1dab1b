import type { Board, Client } from "@collaboard/sdk";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

import type { Past } from "../whiteboard/index.js";
import { HistoryLog, type HistoryView } from "./log.js";

export interface History {
  readonly log: HistoryLog;
  readonly view: HistoryView;
  /** What the whiteboard shows, and the object that was chosen on it. */
  readonly past: Past;
}

/** The history of a board, while it is open. */
export function useHistory(client: Client, board: Board | undefined, open: boolean): History | undefined {
  const [log, setLog] = useState<HistoryLog>();
  const [selected, onSelect] = useState<string>();
  useEffect(() => {
    const opened = open && board !== undefined ? new HistoryLog(client, board) : undefined;
    setLog(opened);
    return () => {
      opened?.close();
      onSelect(undefined);
    };
  }, [client, board, open]);
  const view = useSyncExternalStore(log?.subscribe ?? never, log?.view ?? nothing);
  return useMemo(() => log && view && { log, view, past: { moment: view.moment, selected, onSelect } }, [log, view, selected]);
}

const never = () => () => {};
const nothing = () => undefined;
