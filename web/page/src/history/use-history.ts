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
    if (!open || board === undefined) {
      return undefined;
    }
    let log: HistoryLog | undefined;
    const begin = () => {
      log?.close();
      setLog(log = new HistoryLog(client, board));
    };
    begin();
    const off = board.on("resync", begin);
    return () => {
      off();
      log?.close();
      setLog(undefined);
      onSelect(undefined);
    };
  }, [client, board, open]);
  const view = useSyncExternalStore(log?.subscribe ?? never, log?.view ?? nothing);
  return useMemo(() => log && view && { log, view, past: { log, moment: view.moment, selected, onSelect } }, [log, view, selected]);
}

const never = () => () => {};
const nothing = () => undefined;
