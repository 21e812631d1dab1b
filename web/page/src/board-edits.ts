import { BoardService, StatusCode, StatusError, type Client, type ListBoardsResponse } from "@collaboard/sdk";
import { useEffect, useState } from "react";

import { isOutage } from "./errors.js";
import { load, removeEntry, saveEntry } from "./store.js";

/** What the server tells of a board. */
export type BoardInfo = ListBoardsResponse["boards"][number];

/** What a user does to a board as a whole. */
export type BoardEdit =
  | { readonly kind: "rename"; readonly board: string; readonly name: string; readonly from: string }
  | { readonly kind: "delete" | "undelete"; readonly board: string; readonly name: string };

const most = 100; // boards

/**
 * What the user did to boards. It is shown as done at once, and remembered until the server has answered: a page that is
 * loaded anew goes on with it, and so does one that finds the server again. Of one board one edit is under way at a time,
 * so that the last one wins.
 */
export class BoardEdits {
  readonly #client: Client;
  readonly #running = new Map<string, BoardEdit>(); // the last of each board
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #listeners = new Set<() => void>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those of a client. */
  static of(client: Client): BoardEdits {
    let edits = known.get(client);
    if (edits === undefined) {
      known.set(client, (edits = new BoardEdits(client)));
    }
    return edits;
  }

  /** What is under way, by board. */
  get running(): ReadonlyMap<string, BoardEdit> {
    return this.#running;
  }

  /** What is remembered and not under way: an earlier page had begun it, or the server was away. */
  get interrupted(): BoardEdit[] {
    return Object.values(load<Record<string, BoardEdit>>("edits") ?? {}).filter(({ board }) => !this.#running.has(board));
  }

  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  /**
   * Does it. done is called with what the server has, before it is not under way any more. Rejects where it failed: it is
   * remembered then only where the server was away, and it harms nobody when it is done later. Where it is done again, a
   * name that somebody else has given meanwhile stays.
   */
  async run(edit: BoardEdit, done: (board: BoardInfo | undefined) => void, again = false): Promise<void> {
    saveEntry("edits", edit.board, edit, most);
    this.#running.set(edit.board, edit);
    this.#changed();
    const turn = (this.#turns.get(edit.board) ?? Promise.resolve()).catch(() => {}).then(() => this.#call(edit, again));
    this.#turns.set(edit.board, turn);
    try {
      const board = await turn;
      this.#forget(edit);
      done(board);
    } catch (failure) {
      if (!isOutage(failure) || edit.kind === "delete") {
        this.#forget(edit);
      }
      throw failure;
    } finally {
      if (this.#running.get(edit.board) === edit) {
        this.#running.delete(edit.board);
        this.#turns.delete(edit.board);
      }
      this.#changed();
    }
  }

  /** The user does not want it any more. */
  forget(board: string): void {
    if (!this.#running.has(board)) {
      removeEntry("edits", board);
    }
  }

  /** Unless a later one has taken its place. */
  #forget(edit: BoardEdit): void {
    if (this.#running.get(edit.board) === edit) {
      removeEntry("edits", edit.board);
    }
  }

  async #call(edit: BoardEdit, again: boolean): Promise<BoardInfo | undefined> {
    const { getBoard, updateBoard, deleteBoard, undeleteBoard } = BoardService.method;
    switch (edit.kind) {
      case "rename": {
        const now = again ? await this.#client.call(getBoard, { boardId: edit.board }) : undefined;
        return now !== undefined && now.name !== edit.from ? now
          : this.#client.call(updateBoard, { board: { id: edit.board, name: edit.name }, updateMask: { paths: ["name"] } });
      }
      case "delete":
        try {
          await this.#client.call(deleteBoard, { boardId: edit.board });
        } catch (failure) {
          if (!(failure instanceof StatusError && failure.code === StatusCode.NotFound)) { // else it is gone, as it was to be
            throw failure;
          }
        }
        return undefined;
      case "undelete":
        return this.#client.call(undeleteBoard, { boardId: edit.board });
    }
  }

  #changed(): void {
    this.#listeners.forEach((changed) => changed());
  }
}

const known = new WeakMap<Client, BoardEdits>();

/** What is under way. */
export function useRunning(edits: BoardEdits): ReadonlyMap<string, BoardEdit> {
  const [running, setRunning] = useState(() => new Map(edits.running));
  useEffect(() => {
    const changed = () => setRunning(new Map(edits.running));
    changed();
    return edits.subscribe(changed);
  }, [edits]);
  return running;
}
