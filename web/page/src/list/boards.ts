import { BoardService, type Client } from "@collaboard/sdk";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { BoardEdits, useRunning, type BoardEdit, type BoardInfo } from "../board-edits.js";

const pageSize = 50;
const retryPause = 5_000; // ms

export interface Boards {
  readonly boards: readonly BoardInfo[] | undefined; // undefined until they are known
  readonly more: boolean;
  readonly error: unknown; // of the last try to load them
  refresh(): void;
  loadMore(): void;
  create(name: string): Promise<BoardInfo>;
  /** Shown as done at once, and taken back where it rejects. */
  edit(edit: BoardEdit, again?: boolean): Promise<void>;
}

/** What was known last, to begin with when the user comes back. */
const lastKnown = new WeakMap<Client, Known>();

interface Known {
  readonly boards: readonly BoardInfo[];
  readonly next: string; // page token
}

/** The server's boards, newest first: loaded page by page, and anew whenever somebody looks. */
export function useBoards(client: Client): Boards {
  const edits = BoardEdits.of(client);
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
    return {
      refresh: () => void load(false),
      loadMore: () => void load(true),
      create: (name: string) => client.call(BoardService.method.createBoard, { name }),
      edit: (edit: BoardEdit, again = false) => edits.run(edit, (now) => {
        set(edit.kind === "delete" ? (boards) => boards.filter((b) => b.id !== edit.board)
          : (boards) => boards.map((b) => (now?.id === b.id ? now : b)));
        if (edit.kind !== "rename") {
          void load(false);
        }
      }, again),
    };
  }, [client, edits, load]);

  const running = useRunning(edits);
  const boards = known?.boards
    .filter((board) => running.get(board.id)?.kind !== "delete")
    .map((board) => {
      const edit = running.get(board.id);
      return edit?.kind === "rename" ? { ...board, name: edit.name } : board;
    });
  return { boards, more: (known?.next ?? "") !== "", error, ...calls };
}
