import { BoardService, type Client, type Savepoint } from "@collaboard/sdk";
import { useCallback, useEffect, useState } from "react";

const { deleteSavepoint, listSavepoints, setSavepoint } = BoardService.method;

export interface Savepoints {
  /** Newest first. */
  readonly list: readonly Savepoint[];
  readonly error: unknown; // of the last try to load them
  /** Names a moment. */
  set(seq: bigint, name: string): Promise<void>;
  remove(seq: bigint): Promise<void>;
}

/** The savepoints of a board: nobody says when they change, so they are read whenever somebody looks. */
export function useSavepoints(client: Client, boardId: string): Savepoints {
  const [list, setList] = useState<readonly Savepoint[]>([]);
  const [error, setError] = useState<unknown>();
  const refresh = useCallback(async () => {
    try {
      setList((await client.call(listSavepoints, { boardId })).savepoints);
      setError(undefined);
    } catch (failure) {
      setError(failure);
    }
  }, [client, boardId]);
  useEffect(() => {
    const look = () => void refresh();
    look();
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, [refresh]);
  return {
    list, error,
    set: async (seq, name) => {
      await client.call(setSavepoint, { boardId, seq, name });
      await refresh();
    },
    remove: async (seq) => {
      await client.call(deleteSavepoint, { boardId, seq });
      await refresh();
    },
  };
}
