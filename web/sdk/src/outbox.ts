import type { Backoff } from "./backoff.js";
import { FlushError, type FrameError } from "./errors.js";
import type { StoredRow } from "./keeper.js";
import type { Position } from "./position.js";

/** Where a frame is in its board's log. */
export interface Ack extends Position {
  /** The frame was in the log already: an earlier copy of it had arrived although its ack had not. */
  readonly duplicate: boolean;
}

/** A durable frame on its way into its board's log. */
export interface Pending {
  readonly id: string;
  /** Resolves when the frame would survive the end of this page (it is stored or answered), or cannot be made to. */
  readonly stored: Promise<void>;
  /**
   * Resolves when the frame is in the log, and on the replica of its board if that is joined. Rejects with a FrameError
   * when the server refused it for good, or with why the client ended.
   */
  readonly acked: Promise<Ack>;
}

/** What the client knows of it. */
export interface Entry {
  readonly id: string;
  readonly board: string;
  readonly body: Uint8Array; // an encoded Frame, without after_id
  row: StoredRow | undefined; // in the store, or on its way there
  inFlight: boolean;
  ack: Ack | undefined;
  readonly stored: () => void; // resolves Pending.stored
  readonly settled: Promise<void>; // when resolve or reject was called; it never rejects
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: Error) => void;
}

/** A frame to send, naming in after the one sent to its board before it. */
export interface Outgoing {
  readonly entry: Entry;
  readonly after: string;
}

const maxReported = 100; // refused frames that are kept for the next flush

/** The durable frames of one board that are not answered yet. */
interface Lane {
  queue: Entry[]; // in the order submitted
  sent: number; // how many of them, from the first on, were sent on this connection
  inFlight: number; // how many of those are not answered
  lastID: string; // of the newest sent; empty when the next one need not name it
  refused: boolean; // a frame was refused for now: nothing is sent until nothing is in flight
  wait: number;
  notBefore: number;
  readonly retry: Backoff;
}

/**
 * The durable frames that were submitted, until each is acked or refused for good.
 *
 * Frames go into a board's log in the order of its lane. That holds because each frame names the one sent before it, as
 * long as that one is in flight: if the server refuses one for now, it refuses those behind it too. Then the lane sends
 * nothing until everything in flight is answered, waits, and sends all that is left again, in order, the first of it
 * naming none. After a reconnect it does the same; a wait that was asked for before goes on.
 *
 * Times are in milliseconds, of one clock that never goes backwards.
 */
export class Outbox {
  readonly pending = new Map<string, Entry>(); // by frame id: every frame that is not finished
  #bytes = 0; // of pending
  #lanes = new Map<string, Lane>(); // by board, in the order of their turns; only those that are not empty
  #inFlight = 0;
  #inFlightBytes = 0;
  #refused: FrameError[] = [];
  #more = 0;

  constructor(readonly maxFrames: number, readonly maxBytes: number, readonly newBackoff: () => Backoff) {}

  /** The entries of a board that are not finished, in their order. */
  of(board: string): Entry[] {
    const waiting = this.#lanes.get(board)?.queue ?? [];
    const answered = [...this.pending.values()].filter((entry) => entry.board === board && !waiting.includes(entry));
    return [...answered, ...waiting];
  }

  /** Whether there is room. A frame that is larger than the whole outbox fits into an empty one. */
  fits(size: number): boolean {
    return this.pending.size < this.maxFrames && (this.pending.size === 0 || this.#bytes + size <= this.maxBytes);
  }

  add(entry: Entry): void {
    this.#pend(entry);
    this.#lane(entry.board).queue.push(entry);
  }

  /** Takes over frames that were submitted before, in their order: before all that was not sent yet. */
  adopt(entries: readonly Entry[]): void {
    const places = new Map<Lane, number>();
    for (const entry of entries) {
      const lane = this.#lane(entry.board);
      const place = places.get(lane) ?? lane.sent;
      lane.queue.splice(place, 0, entry);
      places.set(lane, place + 1);
      this.#pend(entry);
    }
  }

  /**
   * Takes what may be sent now, the boards taking turns, until limit frames are in flight or more than limitBytes would
   * be; one frame may always be. next is when to look again, Infinity for when something changes.
   */
  send(now: number, limit: number, limitBytes: number): { batch: Outgoing[]; next: number } {
    const batch: Outgoing[] = [];
    let next = Infinity;
    for (let progress = true; progress; ) {
      progress = false;
      for (const [board, lane] of [...this.#lanes]) {
        const entry = lane.queue[lane.sent];
        if (entry === undefined || lane.refused) {
          continue;
        }
        if (now < lane.notBefore) {
          next = Math.min(next, lane.notBefore);
          continue;
        }
        if (
          this.#inFlight >= limit ||
          (this.#inFlight > 0 && this.#inFlightBytes + entry.body.length > limitBytes)
        ) {
          return { batch, next };
        }
        batch.push({ entry, after: lane.lastID });
        entry.inFlight = true;
        lane.sent++;
        lane.inFlight++;
        lane.lastID = entry.id;
        this.#inFlight++;
        this.#inFlightBytes += entry.body.length;
        this.#lanes.delete(board);
        this.#lanes.set(board, lane); // at the end: the others' turn comes first
        progress = true;
      }
    }
    return { batch, next };
  }

  /** Takes an entry that was in flight out of its lane: the server has the last word on it. */
  answered(entry: Entry, now: number): void {
    const lane = this.#landed(entry);
    if (lane.queue[0] === entry) {
      lane.queue.shift(); // which is much faster, and the rule
    } else {
      lane.queue.splice(lane.queue.indexOf(entry), 1);
    }
    lane.sent--;
    lane.retry.reset();
    this.#settle(lane, now);
    if (lane.queue.length === 0) {
      // A later frame need not name one of these: they are all in the log, or never will be.
      this.#lanes.delete(entry.board);
    }
  }

  /** Keeps an entry that was in flight for a resend, after wait at the earliest. */
  refusedForNow(entry: Entry, wait: number, now: number): void {
    const lane = this.#landed(entry);
    if (!lane.refused) {
      lane.refused = true;
      lane.wait = wait; // the others are refused because of this one
    }
    this.#settle(lane, now);
  }

  /** Forgets what is in flight: whether it arrived is unknown, and the ids will tell. */
  disconnected(): void {
    this.#inFlight = this.#inFlightBytes = 0;
    for (const lane of this.#lanes.values()) {
      lane.queue.forEach((entry) => (entry.inFlight = false));
      rewind(lane);
    }
  }

  /** Ends an entry that was answered. */
  finish(entry: Entry): void {
    this.pending.delete(entry.id);
    this.#bytes -= entry.body.length;
  }

  /** Keeps a refusal for the next flush. */
  report(refused: FrameError): void {
    if (this.#refused.length < maxReported) {
      this.#refused.push(refused);
    } else {
      this.#more++;
    }
  }

  takeReport(): FlushError | undefined {
    if (this.#refused.length === 0) {
      return undefined;
    }
    const error = new FlushError(this.#refused, this.#more);
    this.#refused = [];
    this.#more = 0;
    return error;
  }

  #pend(entry: Entry): void {
    this.pending.set(entry.id, entry);
    this.#bytes += entry.body.length;
  }

  #lane(board: string): Lane {
    let lane = this.#lanes.get(board);
    if (lane === undefined) {
      lane = {
        queue: [], sent: 0, inFlight: 0, lastID: "", refused: false, wait: 0, notBefore: 0, retry: this.newBackoff(),
      };
      this.#lanes.set(board, lane);
    }
    return lane;
  }

  #landed(entry: Entry): Lane {
    const lane = this.#lane(entry.board);
    entry.inFlight = false;
    lane.inFlight--;
    this.#inFlight--;
    this.#inFlightBytes -= entry.body.length;
    return lane;
  }

  /** Lets a lane that was refused begin anew once nothing of it is in flight. */
  #settle(lane: Lane, now: number): void {
    if (lane.inFlight > 0) {
      return;
    }
    lane.lastID = "";
    if (lane.refused) {
      lane.notBefore = now + lane.wait + lane.retry.next();
      rewind(lane);
    }
  }
}

/** Makes the lane send everything that it holds. */
function rewind(lane: Lane): void {
  lane.sent = lane.inFlight = lane.wait = 0;
  lane.lastID = "";
  lane.refused = false;
}

export function newEntry(id: string, board: string, body: Uint8Array): { entry: Entry; pending: Pending } {
  let keep!: () => void;
  let resolve!: (ack: Ack) => void;
  let reject!: (error: Error) => void;
  const stored = new Promise<void>((yes) => (keep = yes));
  const acked = new Promise<Ack>((yes, no) => ([resolve, reject] = [yes, no]));
  const settled = acked.then(() => {}, () => {}); // so nobody has to look at acked
  const entry = { id, board, body, row: undefined, inFlight: false, ack: undefined, stored: keep, resolve, reject, settled };
  return { entry, pending: { id, stored, acked } };
}
