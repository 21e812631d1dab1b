import {
  BoardService, ClosedError, LeftError, type Board, type BoardStatus, type Client, type Member, type State,
} from "@collaboard/sdk";
import { useEffect, useState, useSyncExternalStore } from "react";

import { BoardEdits, useRunning } from "../board-edits.js";
import { rememberNames } from "../names.js";

/** The user's membership of a board, for as long as its page is open. */
export interface Membership {
  readonly board: Board | undefined; // undefined for a moment, and where the address is none of a board
  readonly joined: boolean; // at least once
  readonly status: BoardStatus | undefined;
  readonly members: readonly Member[];
  readonly name: string | undefined;
  readonly ended: Error | undefined; // the board is gone, or cannot be opened
}

export function useMembership(client: Client, id: string): Membership & { setName: (name: string) => void } {
  const [board, setBoard] = useState<Board>();
  const [joined, setJoined] = useState(false);
  const [status, setStatus] = useState<BoardStatus>();
  const [members, setMembers] = useState<readonly Member[]>([]);
  const [name, setName] = useState<string>();
  const [ended, setEnded] = useState<Error>();

  useEffect(() => {
    let joining: Board;
    try {
      joining = client.join(id);
    } catch (error) {
      setEnded(error as Error);
      return undefined;
    }
    let here = true;
    const readName = () => void client.call(BoardService.method.getBoard, { boardId: id })
      .then((known) => here && setName(known.name), () => {}); // it is tried again with the next connection
    joining.on("status", (now) => {
      setStatus(now);
      if (now.live) {
        setJoined(true);
        readName(); // it may have changed while nobody listened
      }
    });
    joining.on("members", (now) => {
      rememberNames(now);
      setMembers(now);
    });
    joining.on("signal", ({ payload }) => {
      if (payload.case === "boardChanged" && payload.value.board !== undefined) {
        setName(payload.value.board.name);
      }
    });
    joining.on("end", (error) => {
      if (!(error instanceof LeftError || error instanceof ClosedError)) {
        setEnded(error);
      }
    });
    setBoard(joining);
    return () => {
      here = false;
      joining.leave();
    };
  }, [client, id]);

  const running = useRunning(BoardEdits.of(client)).get(id);
  return { board, joined, status, members, name: running?.kind === "rename" ? running.name : name, ended, setName };
}

/** Calls back when the client is connected again: it is offline, or has not noticed yet. */
export function onReconnect(client: Client, back: () => void): () => void {
  let away = client.state.saving === "offline";
  return client.on("state", ({ saving }) => {
    if (away && saving !== "offline" && saving !== "closed") {
      back();
    }
    away = saving === "offline";
  });
}

export function useClientState(client: Client): State {
  return useSyncExternalStore((changed) => client.on("state", changed), () => client.state);
}
