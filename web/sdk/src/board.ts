import { Backoff } from "./backoff.js";
import { DesyncError, FrameError, LeftError, type Desync } from "./errors.js";
import { Emitter } from "./emitter.js";
import { encodeRequest, isEphemeral, type Durable, type Ephemeral } from "./frames.js";
import type { Pieces } from "./framing.js";
import { ErrorCode, type Error as ErrorPayload } from "./gen/collaboard/v1/error_pb.js";
import { Mode, SnapshotReason, type BoardJoined, type Frame } from "./gen/collaboard/v1/frame_pb.js";
import { Role, type BoardSnapshot, type Member } from "./gen/collaboard/v1/board_pb.js";
import { newID } from "./ids.js";
import type { Ack, Entry, Pending } from "./outbox.js";
import { beginning, positionOf, type Position } from "./position.js";
import { Replica } from "./replica.js";
import { retryAfter } from "./time.js";

/** What is known of a board besides its content. */
export interface BoardStatus {
  /** The client hears of what happens on the board. False while it is offline, or joins again. */
  readonly live: boolean;
  /** False while the server refuses durable frames of everybody. They wait in the outbox. */
  readonly writable: boolean;
  readonly role: Role;
  /** How often the server contradicted itself, and how last. */
  readonly desyncs: number;
  readonly lastDesync: DesyncError | undefined;
}

/**
 * The log cannot be followed from where the client was, and goes on after another position. What the application made
 * of the log before must be made anew: the board's replica stands at to.
 */
export interface Resync {
  readonly from: Position;
  readonly to: Position;
  /** The server's. Where it is unspecified, error says why the client gave up its position. */
  readonly reason: SnapshotReason;
  readonly error: DesyncError | undefined;
}

export interface BoardEvents {
  /** A frame of the log. Each comes once, in order, without gaps; the replica has it. */
  frame: Frame;
  resync: Resync;
  /** A cursor, selection or the like of another member, or board_changed: a frame without a seq. */
  signal: Frame;
  /** Who is on the board now. */
  members: readonly Member[];
  status: BoardStatus;
  /** The board has ended, and why; the last event. */
  end: Error;
}

export interface JoinOptions {
  /**
   * Join at this position: frames begin after it, if the log still has them. A board that is joined after its beginning
   * (a seq that is not 0) has no replica, since what came before is not known.
   */
  from?: Position;
  /** False saves the memory of a replica. */
  replica?: boolean;
}

/** A frame that was submitted and is not known to be durable. */
export interface Unsaved {
  readonly id: string;
  readonly payload: Frame["payload"];
  /** Resolves when the frame is on the replica, or was refused for good. It never rejects. */
  readonly settled: Promise<void>;
}

/** What a board needs of its client. */
export interface Host {
  unsaved(board: string): Unsaved[];
  readonly newBackoff: () => Backoff;
  submit(board: string, payload: Durable): Pending;
  wake(): void; // there may be something to send
  finish(entry: Entry): void;
  ended(board: Board, member: boolean): void; // member: the server may have one
}

/**
 * A board that the client has joined. It stays joined, across reconnects, until it ends: by leave(), because the client
 * ends, or because the server says that the board was deleted or may not be read.
 *
 * Listeners that are added in the same turn of the event loop as the call to join miss nothing.
 */
export class Board extends Emitter<BoardEvents> {
  /** Resolves when the board is joined for the first time; rejects when it has ended before. */
  readonly joined: Promise<void>;
  #settleJoined!: { resolve: () => void; reject: (error: Error) => void };

  // The join that is under way, or the next one.
  #joinID = "";
  #joinFrom: Position | undefined;
  #loading: { replica: Replica; at: Position; complete: boolean } | undefined;
  #notBefore = 0;
  readonly #retry: Backoff;
  #doubt = false; // the server contradicted itself, and no event has come since
  #fromSnapshot = false; // the position is given up
  #desyncs = 0;
  #lastDesync: DesyncError | undefined;

  // What the board is.
  #ended: Error | undefined;
  #asks = false; // a join was sent on this connection
  #live = false;
  #position: Position | undefined; // one to resume from
  #replica: Replica | undefined;
  #wantReplica: boolean;
  #role = Role.UNSPECIFIED;
  #writable = false;
  #members: readonly Member[] = [];
  #held: Entry[] = []; // acked, but ahead of the position
  #signals = new Map<string, Uint8Array>(); // to send; a newer one takes the place of an older one

  /** @internal Boards come from Client.join. */
  constructor(readonly host: Host, readonly id: string, options: JoinOptions) {
    super();
    this.#retry = host.newBackoff();
    this.#position = options.from && { ...options.from, epoch: options.from.epoch.toLowerCase() };
    this.#wantReplica = (options.replica ?? true) && (options.from?.seq ?? 0) === 0;
    this.joined = new Promise((resolve, reject) => (this.#settleJoined = { resolve, reject }));
    this.joined.catch(() => {}); // nobody has to wait for it
  }

  /** Why the board has ended; undefined while it has not. */
  get error(): Error | undefined {
    return this.#ended;
  }

  /** The objects of the board, at its position; undefined before it is joined, and where there is no replica. */
  get replica(): Replica | undefined {
    return this.#replica;
  }

  /** Of the last frame received: what to keep, to join from it another time. */
  get position(): Position | undefined {
    return this.#position;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  get status(): BoardStatus {
    return {
      live: this.#live, writable: this.#writable, role: this.#role,
      desyncs: this.#desyncs, lastDesync: this.#lastDesync,
    };
  }

  /** Client.submit to this board. It works after the board has ended too. */
  submit(payload: Durable): Pending {
    return this.host.submit(this.id, payload);
  }

  /**
   * The frames that were submitted to this board and are not known to be durable, in the order they were submitted. Once
   * the board is joined those from before a reload are among them.
   */
  unsaved(): Unsaved[] {
    return this.host.unsaved(this.id);
  }

  /**
   * Sends an ephemeral payload to the other members, now or when the board is live again. Until it is sent a newer one
   * of its kind (of its type, for a customSignal) takes its place. Nothing says whether it arrived.
   */
  signal(payload: Ephemeral): void {
    if (this.#ended !== undefined) {
      return;
    }
    const key = payload.case === "customSignal" ? `custom:${payload.value.type ?? ""}` : payload.case;
    this.#signals.delete(key);
    this.#signals.set(key, encodeRequest("", this.id, payload));
    this.host.wake();
  }

  /** Ends the membership, and the board with a LeftError. Frames that were submitted are still sent. */
  leave(): void {
    this.end(new LeftError());
  }

  // What follows is for the client.

  /** @internal Takes what is to be sent now. next is when to look again. */
  collect(now: number, batch: Pieces[], signals: boolean): number {
    if (this.#live) {
      if (signals) {
        this.#signals.forEach((signal) => batch.push([signal]));
        this.#signals.clear();
      }
    } else if (this.#joinID === "") {
      if (now < this.#notBefore) {
        return this.#notBefore;
      }
      batch.push([this.#join()]);
    }
    return Infinity;
  }

  /** @internal A part of the answer to a join. */
  item(frame: Frame): void {
    if (this.#asked(frame)) {
      this.#load(frame.payload.case === "boardSnapshot" ? frame.payload.value : undefined);
    }
  }

  /** @internal The end of an answer that is not to a durable frame. */
  answer(frame: Frame): void {
    const error = frame.payload.case === "error" ? frame.payload.value : undefined;
    if (this.#asked(frame)) {
      if (error !== undefined) {
        this.#refused(error);
      } else {
        this.#joinDone(frame.payload.case === "boardJoined" ? frame.payload.value : undefined);
      }
    } else if (this.#live && error?.code === ErrorCode.NOT_JOINED) {
      this.#rejoin(); // the server has lost the membership, and would not send events any more
    }
  }

  /** @internal An event of the log: the next one, and no other. */
  logged(frame: Frame): void {
    if (!this.#live) {
      return; // of a membership that was given up
    }
    const have = this.#position ?? beginning;
    const at: Position = { epoch: have.epoch, seq: Number(frame.seq) };
    if (at.seq <= have.seq) {
      return this.#desync("a step backwards", at);
    }
    if (at.seq > have.seq + 1) {
      return this.#desync("a gap", at);
    }
    this.#position = at;
    this.#doubt = false;
    this.#retry.reset();
    this.#replica?.apply(frame);
    this.#release((ack) => ack.seq <= at.seq);
    this.emit("frame", frame);
  }

  /** @internal An event that is not in the log. */
  heard(frame: Frame): void {
    if (!this.#live) {
      return;
    }
    const p = frame.payload;
    switch (p.case) {
      case "memberJoined":
      case "memberLeft": {
        const member = p.value.member;
        const others = this.#members.filter((m) => m.connectionId !== member?.connectionId);
        this.#members = p.case === "memberJoined" && member !== undefined ? [...others, member] : others;
        return this.emit("members", this.#members);
      }
      case "boardStatus":
        this.#writable = p.value.writable;
        return this.emit("status", this.status);
      case "boardDeleted":
        return this.end(boardNotFound(this.id));
      default:
        if (p.case === "boardChanged" || isEphemeral(frame)) {
          this.emit("signal", frame);
        }
    }
  }

  /**
   * @internal Whether the replica does not have the frame of this ack yet, and will. An ack from another incarnation of
   * the log means that the position is not worth anything.
   */
  holds(entry: Entry, ack: Ack): boolean {
    if (!this.#wantReplica || this.#ended !== undefined) {
      return false;
    }
    const at = this.#position;
    if (this.#live && at !== undefined && ack.epoch !== at.epoch) {
      this.#desync("a foreign epoch", ack);
    } else if (this.#live && at !== undefined && ack.seq <= at.seq) {
      return false;
    }
    this.#held.push(entry);
    return true;
  }

  /** @internal Forgets what was under way on the connection. */
  disconnected(): void {
    this.#asks = false;
    this.#suspend();
  }

  /** @internal Ends the board for good. */
  end(cause: Error): void {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = cause;
    this.#suspend();
    this.#signals.clear();
    this.host.ended(this, this.#asks);
    this.#release(() => true);
    this.#settleJoined.reject(cause);
    this.emit("end", cause);
  }

  #suspend(): void {
    const was = this.#live;
    this.#live = false;
    this.#joinID = "";
    this.#loading = undefined;
    if (was) {
      this.emit("status", this.status);
    }
  }

  #join(): Uint8Array {
    this.#joinID = newID();
    this.#asks = true;
    this.#joinFrom = this.#fromSnapshot ? undefined : this.#position;
    const from = this.#joinFrom;
    const value = from === undefined ? {} : { position: { epoch: from.epoch, seq: BigInt(from.seq) } };
    return encodeRequest(this.#joinID, this.id, { case: "boardJoin", value });
  }

  #asked(frame: Frame): boolean {
    return this.#joinID !== "" && frame.parentId === this.#joinID;
  }

  /** Takes a chunk of the snapshot. The chunks of one stand at one position, and the last one ends it. */
  #load(chunk: BoardSnapshot | undefined): void {
    const at = positionOf(chunk?.position);
    const loading = (this.#loading ??= { replica: new Replica(), at, complete: false });
    if (chunk === undefined || loading.complete || !same(loading.at, at)) {
      return this.#desync("an incomplete answer", at);
    }
    if (this.#wantReplica) {
      loading.replica.load(chunk);
    }
    loading.complete = chunk.last;
  }

  #joinDone(j: BoardJoined | undefined): void {
    const at = positionOf(j?.position);
    const loading = this.#loading;
    if (j === undefined || at.epoch === "") {
      this.#desync("an incomplete answer", at);
    } else if (j.mode === Mode.RESUMED) {
      this.#resumed(at, j);
    } else if (j.mode === Mode.SNAPSHOT && loading?.complete === true && same(loading.at, at)) {
      this.#restarted(at, j, loading.replica);
    } else {
      this.#desync("an incomplete answer", at);
    }
  }

  /** Goes on at the position that was asked for, and no other. */
  #resumed(at: Position, j: BoardJoined): void {
    const from = this.#joinFrom;
    if (from === undefined) {
      return this.#desync("an incomplete answer", at);
    }
    if (from.epoch !== "" && at.epoch !== from.epoch) {
      return this.#desync("a foreign epoch", at);
    }
    if (at.seq !== from.seq) {
      return this.#desync(at.seq < from.seq ? "a step backwards" : "a gap", at);
    }
    this.#position = at;
    if (this.#wantReplica) {
      this.#replica ??= new Replica(); // it was joined at the beginning
    }
    this.#enter(j);
  }

  /** Goes on at the position of the snapshot. A reader who had another one must be told. */
  #restarted(at: Position, j: BoardJoined, replica: Replica): void {
    const from = this.#position;
    const error = this.#fromSnapshot ? this.#lastDesync : undefined;
    this.#position = at;
    this.#fromSnapshot = false;
    if (this.#wantReplica) {
      this.#replica = replica;
    }
    this.#enter(j);
    if (from !== undefined) {
      this.emit("resync", { from, to: at, reason: j.reason, error });
    }
  }

  #enter(j: BoardJoined): void {
    this.#joinID = "";
    this.#loading = undefined;
    this.#live = true;
    if (!this.#doubt) {
      this.#retry.reset();
    }
    this.#role = j.role;
    this.#writable = j.writable;
    this.#members = j.members;
    // An ack from another incarnation of the log than the one that was joined waits for nothing.
    const at = this.#position ?? beginning;
    this.#release((ack) => ack.epoch !== at.epoch || ack.seq <= at.seq);
    this.#settleJoined.resolve();
    this.emit("status", this.status);
    this.emit("members", this.#members);
    this.host.wake();
  }

  #refused(error: ErrorPayload): void {
    if (!error.retryable) {
      this.#asks = false;
      return this.end(new FrameError(this.id, "", error));
    }
    this.#rejoin();
    this.#notBefore += retryAfter(error);
  }

  #desync(kind: Desync, got: Position): void {
    this.#lastDesync = new DesyncError(this.id, kind, this.#position ?? beginning, got);
    this.#desyncs++;
    this.#fromSnapshot = this.#doubt; // a join from the position was of no use
    this.#doubt = true;
    this.#rejoin();
  }

  /** Joins the board again, on the same connection, after a pause. */
  #rejoin(): void {
    this.#notBefore = performance.now() + this.#retry.next();
    this.#suspend();
    this.host.wake();
  }

  /** Ends the held frames that need not wait any more. */
  #release(ready: (ack: Ack) => boolean): void {
    if (this.#held.length === 0) {
      return;
    }
    const held = this.#held;
    this.#held = held.filter((entry) => entry.ack !== undefined && !ready(entry.ack));
    held.filter((entry) => !this.#held.includes(entry)).forEach((entry) => this.host.finish(entry));
  }
}

function same(a: Position, b: Position): boolean {
  return a.epoch === b.epoch && a.seq === b.seq;
}

function boardNotFound(id: string): FrameError {
  return new FrameError(id, "", {
    $typeName: "collaboard.v1.Error", code: ErrorCode.BOARD_NOT_FOUND, message: "the board was deleted",
    retryable: false, fieldViolations: [],
  });
}
