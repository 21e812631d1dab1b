import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

import { Backoff } from "./backoff.js";
import { Board, type Host, type JoinOptions } from "./board.js";
import { callAll, callStream, callUnary } from "./call.js";
import { Emitter } from "./emitter.js";
import { ClosedError, ConnectionError, FrameError, OutboxFullError, type StatusError } from "./errors.js";
import { afterBytes, decodeFrame, encodeRequest, withAfter, type Durable } from "./frames.js";
import type { Pieces } from "./framing.js";
import { Status, type Frame, type Limits, type SessionWelcome } from "./gen/collaboard/v1/frame_pb.js";
import { canonicalID, newID } from "./ids.js";
import { Keeper } from "./keeper.js";
import { checkSize, windowOf } from "./limits.js";
import { isFatal, Link } from "./link.js";
import { defaults, type ClientOptions } from "./options.js";
import { newEntry, Outbox, type Entry, type Pending } from "./outbox.js";
import { retryAfter } from "./time.js";

/**
 * Where an application's changes are. "saved": connected, and everything that was submitted is durable, or was refused
 * for good. "saving": connected, with frames that are not acked yet. "offline": not connected. "closed": the client was
 * closed or gave up; the last state.
 */
export type Saving = "saved" | "saving" | "offline" | "closed";

/** What an application can show of its connection. */
export interface State {
  readonly saving: Saving;
  /** How many submitted frames are not known to be durable. */
  readonly unsaved: number;
  /** Whether those survive the end of the page, from some milliseconds after submit on: see ClientOptions.storage. */
  readonly kept: boolean;
}

export interface ClientEvents {
  state: State;
  /** A frame was refused for good. It may be one that was submitted before a reload, of which nobody has a Pending. */
  refused: FrameError;
  /** Frames cannot be kept in IndexedDB, and why. They are sent all the same. */
  storageError: unknown;
}

const maxBuffered = 1 << 20; // bytes before the network; then durable frames wait
const maxBufferedSignals = 64 << 10; // then ephemeral ones do, and newer ones take their places
const bufferedPause = 50; // ms until they are looked at again
const probeTimeout = 2_000; // ms for the server to answer, when the platform says that it is offline
const adoptPause = 30_000; // ms between searches for frames that another tab left

/**
 * One user's connection to a server: any number of boards on one stream. It connects when it is first needed, and from
 * then on it stays connected, until close(). Between two connections it pauses, longer and longer until a connection has
 * proven itself: when the server, after its welcome, has answered something.
 *
 * What holds:
 *
 * - A frame is acked when it is durable, and not before.
 * - The frames that one client submits to one board are in its log in the order of submit(), each once, whatever was
 *   refused for a while, resent, or lost with a connection on the way. A frame that is refused for good is left out.
 * - A board's "frame" event gives every frame of the log once, in order, without gaps, across reconnects. Where the log
 *   cannot be followed a "resync" event says so.
 * - A frame is stored while it is on its way, until it is acked or refused for good: see ClientOptions.storage. One
 *   that is answered within some milliseconds is not stored at all.
 */
export class Client extends Emitter<ClientEvents> {
  readonly #options: ClientOptions;
  readonly #outbox: Outbox;
  readonly #keeper: Keeper;
  readonly #host: Host;
  readonly #boards = new Map<string, Board>();
  readonly #parts = new Set<string>(); // boards to part on this connection
  readonly #retry: Backoff; // of connecting
  readonly #networkIsBack = () => this.#connectNow();
  readonly #networkIsGone = () => this.#probe();

  #link: Link | undefined;
  #wanted = false; // somebody needs a connection
  #met = false; // the server has welcomed the client at least once
  #welcome: SessionWelcome | undefined; // the newest
  #lastError: Error | undefined;
  #ended: Error | undefined;
  #connectAt = 0;
  #adoptAt = Infinity;
  #woken = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: State;

  constructor(options: ClientOptions) {
    super();
    this.#options = { ...options };
    const newBackoff = () => new Backoff(options.backoff ?? defaults.backoff);
    const size = options.outbox ?? defaults.outbox;
    this.#outbox = new Outbox(size.frames, size.bytes, newBackoff);
    this.#retry = newBackoff();
    this.#keeper = new Keeper(options, {
      adopt: (entries) => this.#adopt(entries),
      failed: (error) => {
        this.#stateChanged();
        this.emit("storageError", error);
      },
    }, (id) => this.#outbox.pending.has(id));
    this.#state = { saving: "offline", unsaved: 0, kept: this.#keeper.keeps };
    void this.#keeper.opened.then(() => this.#wake());
    this.#adoptAt = performance.now() + adoptPause;
    this.#host = {
      newBackoff,
      submit: (board, payload) => this.submit(board, payload),
      unsaved: (board) => this.#outbox.of(board).map(({ id, body, settled }) => (
        { id, payload: decodeFrame(body).payload, settled })),
      wake: () => this.#wake(),
      finish: (entry) => this.#finish(entry),
      ended: (board, member) => this.#boardEnded(board, member),
    };
    globalThis.addEventListener?.("online", this.#networkIsBack);
    globalThis.addEventListener?.("offline", this.#networkIsGone);
    this.#schedule(adoptPause);
  }

  /** The state now. It is exact: a frame is counted once submit has returned, and not any more once it is acked. */
  get state(): State {
    return this.#state;
  }

  /** Why the client has ended: a ClosedError or a ConnectionError; undefined while it works. */
  get error(): Error | undefined {
    return this.#ended;
  }

  /** Why the last connection ended. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Who the server took the client for when it connected last; empty before that. */
  get userId(): string {
    return this.#welcome?.userId ?? "";
  }

  /** By what the server tells this connection from others, as in Member; another one after each reconnect. */
  get connectionId(): string {
    return this.#welcome?.connectionId ?? "";
  }

  /** What the server accepts, as it said when it connected last; undefined before that. */
  get limits(): Limits | undefined {
    return this.#welcome?.limits;
  }

  /**
   * Makes the client a member of a board. Await board.joined, or listen. Where the server cannot be reached, or cannot
   * load the board for now, it keeps trying. Throws where the board is joined already, or the client has ended.
   */
  join(boardId: string, options: JoinOptions = {}): Board {
    const id = canonicalID("board id", boardId);
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
    if (this.#boards.has(id)) {
      throw new Error(`board ${id} is joined already`);
    }
    const board = new Board(this.#host, id, options);
    this.#boards.set(id, board);
    this.#want();
    return board;
  }

  /**
   * Puts a durable frame on its way to a board, joined or not. Frames of one board are in its log in the order of the
   * calls. Throws an OutboxFullError, a FrameError with TOO_LARGE, or why the client has ended.
   */
  submit(boardId: string, payload: Durable): Pending {
    const board = canonicalID("board id", boardId);
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
    const id = newID();
    const body = encodeRequest(id, board, payload);
    checkSize(board, id, body.length + afterBytes, this.limits);
    if (!this.#outbox.fits(body.length)) {
      throw new OutboxFullError();
    }
    const { entry, pending } = newEntry(id, board, body);
    this.#outbox.add(entry);
    this.#want(); // it is sent first, so that it travels while it is being stored
    this.#keeper.store(entry);
    this.#stateChanged();
    return pending;
  }

  /**
   * Resolves when everything that was submitted before is durable. Rejects with a FlushError when that is so but for
   * frames that were refused for good, each of which is reported by one flush, or with why the client ended.
   */
  async flush(): Promise<void> {
    await this.#keeper.opened;
    await Promise.all([...this.#outbox.pending.values()].map((entry) => entry.settled));
    const ended = this.#ended ?? this.#outbox.takeReport();
    if (ended !== undefined) {
      throw ended;
    }
  }

  /**
   * Makes a unary call, as in client.call(BoardService.method.createBoard, { name: "Plans" }). Rejects with a StatusError:
   * with DEADLINE_EXCEEDED after ClientOptions.callTimeout, when it is unknown whether the server did what it was asked for.
   */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>, request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return callUnary(this.#options, method, request);
  }

  /** Makes a call that streams its answers, and returns them all. */
  callAll<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>,
  ): Promise<MessageShape<O>[]> {
    return callAll(this.#options, method, request);
  }

  /**
   * Makes a call that streams its answers, as in for await (const piece of client.stream(BoardService.method.getFile, …)).
   * The server waits for the loop, which throws a StatusError; to leave it early ends the call.
   */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    return callStream(this.#options, method, request);
  }

  /**
   * Ends the client and its boards. It does not wait for frames that are not acked, which reject with a ClosedError and
   * stay stored. Resolves when frames that were submitted are stored.
   */
  async close(): Promise<void> {
    this.#end(new ClosedError());
    await this.#keeper.close();
  }

  #want(): void {
    this.#wanted = true;
    this.#wake();
  }

  /** Looks for something to do, at the end of the present turn. */
  #wake(): void {
    if (!this.#woken) {
      this.#woken = true;
      queueMicrotask(() => {
        this.#woken = false;
        this.#tick();
      });
    }
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), Math.min(Math.max(Math.ceil(delay), 1), 2 ** 31 - 1));
  }

  /** Does all that is to be done now, and says when to look again. */
  #tick(): void {
    if (this.#ended !== undefined) {
      return;
    }
    const now = performance.now();
    let next = this.#adoptAt;
    if (now >= this.#adoptAt) {
      next = this.#adoptAt = now + adoptPause;
      this.#keeper.adopt();
    }
    if (this.#link !== undefined) {
      next = Math.min(next, this.#link.watch(now)); // which may end it
    }
    if (this.#link !== undefined) {
      next = Math.min(next, this.#send(this.#link, now));
    } else if (this.#wanted && this.#keeper.isOpen) {
      if (now >= this.#connectAt) {
        this.#connect();
        return; // it wakes
      }
      next = Math.min(next, this.#connectAt);
    }
    if (this.#ended === undefined) {
      this.#schedule(next - now);
    }
  }

  #connectNow(): void {
    this.#connectAt = 0;
    this.#wake();
  }

  /** What the platform says is only a hint: a server on this machine is there without a network. */
  #probe(): void {
    this.#link?.probe(performance.now(), probeTimeout);
    this.#wake();
  }

  #connect(): void {
    this.#link = new Link(this.#options, {
      frame: (link, frame) => this.#receive(link, frame),
      end: (link, status) => this.#disconnected(link, status),
    });
    this.#wake();
  }

  /** Sends what may be sent now. Returns when to look again, should nothing change meanwhile. */
  #send(link: Link, now: number): number {
    if (!link.online) {
      return Infinity;
    }
    const batch: Pieces[] = [];
    for (const id of this.#parts) {
      batch.push([encodeRequest(newID(), id, { case: "boardPart", value: {} })]);
    }
    this.#parts.clear();
    const buffered = link.bufferedAmount;
    let next = buffered > maxBufferedSignals ? now + bufferedPause : Infinity;
    for (const board of this.#boards.values()) {
      next = Math.min(next, board.collect(now, batch, buffered <= maxBufferedSignals));
    }
    if (buffered <= maxBuffered) {
      const frames = this.#outbox.send(now, ...windowOf(this.#options.window ?? defaults.window, this.limits));
      frames.batch.forEach(({ entry, after }) => batch.push(withAfter(entry.body, after)));
      next = Math.min(next, frames.next);
    }
    link.send(...batch);
    return next;
  }

  #receive(link: Link, frame: Frame): void {
    if (link !== this.#link) {
      return;
    }
    const board = this.#boards.get(frame.boardId);
    switch (frame.status) {
      case Status.DONE:
      case Status.ERROR: {
        this.#retry.reset();
        const entry = this.#outbox.pending.get(frame.parentId);
        if (entry?.inFlight === true) {
          this.#answer(entry, frame);
          this.#wake();
        } else {
          board?.answer(frame);
        }
        break;
      }
      case Status.ITEM:
        board?.item(frame);
        break;
      case Status.EVENT:
        if (frame.payload.case === "sessionWelcome") {
          this.#welcomed(link, frame.payload.value);
        } else if (frame.seq > 0n) {
          board?.logged(frame);
        } else {
          board?.heard(frame);
        }
        break;
      default: // not from a server
    }
  }

  #welcomed(link: Link, welcome: SessionWelcome): void {
    link.online = this.#met = true;
    this.#welcome = welcome;
    this.#stateChanged();
    this.#wake();
  }

  #answer(entry: Entry, { payload, seq }: Frame): void {
    const now = performance.now();
    if (payload.case === "ack" && seq > 0n) {
      const ack = { epoch: payload.value.epoch, seq: Number(seq), duplicate: payload.value.duplicate };
      this.#outbox.answered(entry, now);
      this.#keeper.remove(entry, false);
      entry.ack = ack;
      if (this.#boards.get(entry.board)?.holds(entry, ack) !== true) {
        this.#finish(entry);
      }
    } else if (payload.case === "error" && !payload.value.retryable) {
      const refused = new FrameError(entry.board, entry.id, payload.value);
      this.#outbox.answered(entry, now);
      this.#keeper.remove(entry, true);
      this.#outbox.report(refused);
      this.#finish(entry, refused);
      this.emit("refused", refused);
    } else {
      // Refused for now, or no answer that makes sense: the id tells the server whether it has the frame.
      this.#outbox.refusedForNow(entry, retryAfter(payload.case === "error" ? payload.value : undefined), now);
    }
  }

  #finish(entry: Entry, error?: Error): void {
    this.#outbox.finish(entry);
    if (entry.ack !== undefined) {
      entry.resolve(entry.ack);
    } else {
      entry.reject(error ?? new ClosedError());
    }
    this.#stateChanged();
  }

  #adopt(entries: Entry[]): void {
    if (this.#ended !== undefined) {
      return; // they stay stored, in this client's name
    }
    this.#outbox.adopt(entries);
    this.#want();
    this.#stateChanged();
  }

  #boardEnded(board: Board, member: boolean): void {
    this.#boards.delete(board.id);
    if (member && this.#link?.online === true) {
      this.#parts.add(board.id);
      this.#wake();
    }
  }

  /** Makes everything ready for the next connection. */
  #disconnected(link: Link, status: StatusError): void {
    if (link !== this.#link) {
      return;
    }
    this.#link = undefined;
    this.#lastError = status;
    this.#parts.clear();
    this.#outbox.disconnected();
    [...this.#boards.values()].forEach((board) => board.disconnected());
    if (isFatal(status, link.online, this.#met)) {
      return this.#end(new ConnectionError(status));
    }
    this.#connectAt = performance.now() + this.#retry.next();
    this.#stateChanged();
    this.#wake();
  }

  /** Tells everybody that the client is no longer of use. */
  #end(cause: Error): void {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = cause;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#networkIsBack);
    globalThis.removeEventListener?.("offline", this.#networkIsGone);
    const link = this.#link;
    this.#link = undefined;
    link?.cancel();
    [...this.#boards.values()].forEach((board) => board.end(cause));
    [...this.#outbox.pending.values()].forEach((entry) => this.#finish(entry, cause));
    this.#stateChanged();
  }

  #stateChanged(): void {
    const unsaved = this.#outbox.pending.size;
    let saving: Saving = unsaved === 0 ? "saved" : "saving";
    if (this.#ended !== undefined) {
      saving = "closed";
    } else if (this.#link?.online !== true) {
      saving = "offline";
    }
    const kept = this.#keeper.keeps;
    if (saving !== this.#state.saving || unsaved !== this.#state.unsaved || kept !== this.#state.kept) {
      this.#state = { saving, unsaved, kept };
      this.emit("state", this.#state);
    }
  }
}
