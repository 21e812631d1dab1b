import { BoardService, type Client, type ListBoardsResponse } from "@collaboard/sdk";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

const pageSize = 50;
const retryPause = 5_000; // ms

/** What the list knows of a board. */
export type BoardInfo = ListBoardsResponse["boards"][number];

export interface Boards {
  readonly boards: readonly BoardInfo[] | undefined; // undefined until they are known
  readonly more: boolean;
  readonly error: unknown; // of the last try to load them
  refresh(): void;
  loadMore(): void;
  create(name: string): Promise<BoardInfo>;
  rename(board: BoardInfo, name: string): Promise<void>;
  remove(board: BoardInfo): Promise<void>;
  restore(board: BoardInfo): Promise<void>;
}

/** What was known last, to begin with when the user comes back. */
const lastKnown = new WeakMap<Client, Known>();

interface Known {
  readonly boards: readonly BoardInfo[];
  readonly next: string; // page token
}

/** The server's boards, newest first: loaded page by page, and anew whenever somebody looks. */
export function useBoards(client: Client): Boards {
  const [known, setKnown] = useState(() => lastKnown.get(client));
  const [error, setError] = useState<unknown>();
  const latest = useRef<Known>(undefined);
  latest.current = known;
  if (known !== undefined) {
    lastKnown.set(client, known);
  }
  const loading = useRef(false);

  const load = useCallback(async (more: boolean) => {
    const before = latest.current;
    if (loading.current || (more && (before?.next ?? "") === "")) {
      return;
    }
    loading.current = true;
    try {
      const page = await client.call(BoardService.method.listBoards, more
        ? { pageSize, pageToken: before!.next }
        : { pageSize: Math.max(before?.boards.length ?? 0, pageSize) });
      const have = more ? before!.boards.filter((b) => !page.boards.some((p) => p.id === b.id)) : [];
      setKnown({ boards: [...have, ...page.boards], next: page.nextPageToken });
      setError(undefined);
    } catch (failure) {
      setError(failure);
    } finally {
      loading.current = false;
    }
  }, [client]);

  useEffect(() => {
    const refresh = () => document.visibilityState === "visible" && void load(false);
    refresh();
    addEventListener("focus", refresh);
    document.addEventListener("visibilitychange", refresh);
    return () => {
      removeEventListener("focus", refresh);
      document.removeEventListener("visibilitychange", refresh);
    };
  }, [load]);

  useEffect(() => {
    if (error === undefined) {
      return undefined;
    }
    const retry = () => void load(false);
    const timer = setTimeout(retry, retryPause);
    addEventListener("online", retry);
    return () => {
      clearTimeout(timer);
      removeEventListener("online", retry);
    };
  }, [error, load]);

  const calls = useMemo(() => {
    const set = (change: (boards: readonly BoardInfo[]) => readonly BoardInfo[]) =>
      setKnown((now) => now && { ...now, boards: change(now.boards) });
    const put = (board: BoardInfo) => set((boards) => boards.map((b) => (b.id === board.id ? board : b)));
    return {
      refresh: () => void load(false),
      loadMore: () => void load(true),
      create: (name: string) => client.call(BoardService.method.createBoard, { name }),
      // What the user did is shown at once, and taken back where the server does not agree.
      rename: async (board: BoardInfo, name: string) => {
        put({ ...board, name });
        try {
          put(await client.call(BoardService.method.updateBoard, { board: { id: board.id, name }, updateMask: { paths: ["name"] } }));
        } catch (failure) {
          put(board);
          throw failure;
        }
      },
      remove: async (board: BoardInfo) => {
        set((boards) => boards.filter((b) => b.id !== board.id));
        try {
          await client.call(BoardService.method.deleteBoard, { boardId: board.id });
        } finally {
          void load(false);
        }
      },
      restore: async (board: BoardInfo) => {
        await client.call(BoardService.method.undeleteBoard, { boardId: board.id });
        void load(false);
      },
    };
  }, [client, load]);

  return { boards: known?.boards, more: (known?.next ?? "") !== "", error, ...calls };
}
