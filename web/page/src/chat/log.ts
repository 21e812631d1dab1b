import {
  BoardService, ClosedError, newID, type Board, type Client, type Frame, type Pending,
} from "@collaboard/sdk";

import { explain } from "../errors.js";
import { dateOf } from "../time.js";

export interface Message {
  readonly id: string; // of its frame
  readonly seq: number; // 0 while it is not in the log
  readonly from: string; // user id
  readonly name: string; // that the sender had then; empty where it is not known
  readonly text: string;
  readonly time: Date;
  readonly failed?: string; // why it was refused for good, in plain words
}

export interface ChatView {
  /** Oldest first; those that are not in the log yet at the end. */
  readonly messages: readonly Message[];
  /** There are older ones. */
  readonly more: boolean;
  readonly loading: boolean;
  readonly loaded: boolean; // the newest page
  readonly error: unknown; // of the last try to load
}

const pageSize = 50;
const most = 2000; // messages in memory; then the oldest are let go, to be loaded again

/** The chat of a board: its newest messages, older ones when asked for, and those that come. */
export class ChatLog {
  readonly #stop: (() => void)[] = [];
  readonly #listeners = new Set<() => void>();
  #logged: readonly Message[] = []; // by seq, without gaps among the board's messages
  #unsent: readonly Message[] = []; // in the order in which they were sent
  #more = false;
  #loading = false;
  #loaded = false;
  #error: unknown;
  #generation = 0; // of the log that is shown
  #view: ChatView;

  constructor(readonly client: Client, readonly board: Board, readonly user: string) {
    this.#view = this.#makeView();
    this.#stop.push(
      board.on("frame", (frame) => this.#receive(frame)),
      board.on("resync", () => this.#restart()),
      board.on("status", ({ live }) => {
        if (live && !this.#loaded) {
          void this.#load(0n);
        }
      }),
    );
    if (board.status.live) {
      void this.#load(0n); // after the listener was there, so nothing is missed between them
    }
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };

  /** The same object until the next change. */
  readonly view = (): ChatView => this.#view;

  close(): void {
    this.#generation++;
    this.#stop.forEach((stop) => stop());
  }

  loadOlder(): void {
    if (!this.#loaded || this.#more) {
      void this.#load(BigInt(this.#logged[0]?.seq ?? 0));
    }
  }

  /** Puts a message on its way. Throws what Board.submit throws. */
  send(text: string): void {
    const pending = this.board.submit({ case: "chatMessage", value: { text } });
    this.#unsent = [...this.#unsent, { id: pending.id, seq: 0, from: this.user, name: "", text, time: new Date() }];
    this.#changed();
    void this.#watch(pending);
  }

  /** Takes away a message that was refused. */
  forget(id: string): void {
    this.#unsent = this.#unsent.filter((m) => m.id !== id);
    this.#changed();
  }

  async #watch({ id, acked }: Pending): Promise<void> {
    try {
      const { seq } = await acked;
      const sent = this.#unsent.find((m) => m.id === id);
      if (sent !== undefined) { // the board had ended, or its log was resynchronised: no event came
        this.#put([{ ...sent, seq }]);
      }
    } catch (error) {
      if (!(error instanceof ClosedError)) { // after which it is still stored, to be sent
        const failed = explain(error);
        this.#unsent = this.#unsent.map((m) => (m.id === id ? { ...m, failed } : m));
        this.#changed();
      }
    }
  }

  #receive(frame: Frame): void {
    const message = messageOf(frame);
    if (message !== undefined) {
      this.#put([message]);
    }
  }

  /** Forgets what may not be in the log any more. */
  #restart(): void {
    this.#generation++;
    this.#logged = [];
    this.#loaded = this.#loading = this.#more = false;
    void this.#load(0n);
  }

  async #load(beforeSeq: bigint): Promise<void> {
    if (this.#loading) {
      return;
    }
    const generation = this.#generation;
    this.#loading = true;
    this.#changed();
    try {
      const frames = await this.client.callAll(BoardService.method.readLog, {
        boardId: this.board.id, from: { case: "beforeSeq", value: beforeSeq }, limit: BigInt(pageSize), kinds: ["chat_message"],
      });
      if (generation === this.#generation) {
        this.#loading = false;
        this.#loaded = true;
        this.#error = undefined;
        this.#more = frames.length === pageSize;
        this.#put(frames.flatMap((frame) => messageOf(frame) ?? []));
      }
    } catch (error) {
      if (generation === this.#generation) {
        this.#loading = false;
        this.#error = error;
        this.#changed();
      }
    }
  }

  #put(messages: readonly Message[]): void {
    const bySeq = new Map([...this.#logged, ...messages].map((m) => [m.seq, m]));
    this.#logged = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
    const ids = new Set(messages.map((m) => m.id));
    this.#unsent = this.#unsent.filter((m) => !ids.has(m.id));
    this.#changed();
  }

  /** Lets the oldest messages go where there are too many. Whoever reads among the oldest keeps them. */
  trim(): void {
    if (this.#logged.length > most) {
      this.#logged = this.#logged.slice(-most / 2);
      this.#more = true;
      this.#changed();
    }
  }

  #changed(): void {
    this.#view = this.#makeView();
    this.#listeners.forEach((changed) => changed());
  }

  #makeView(): ChatView {
    return {
      messages: [...this.#logged, ...this.#unsent], more: this.#more, loading: this.#loading, loaded: this.#loaded,
      error: this.#error,
    };
  }
}

function messageOf(frame: Frame): Message | undefined {
  return frame.payload.case === "chatMessage"
    ? {
      id: frame.id === "" ? newID() : frame.id, seq: Number(frame.seq), from: frame.from,
      name: frame.payload.value.senderName, text: frame.payload.value.text,
      time: frame.time === undefined ? new Date(0) : dateOf(frame.time),
    }
    : undefined;
}
