import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  BoardSnapshotSchema, ErrorCode, FrameError, FrameSchema, ObjectOpSchema, Replica, Status,
  type Ack, type BoardEvents, type Durable, type Ephemeral, type Frame, type Member, type ObjectOp, type Pending, type Unsaved,
} from "@collaboard/sdk";

import type { EngineBoard } from "../../src/whiteboard/engine.js";

interface Waiting {
  readonly from: LogBoard;
  readonly payload: Durable;
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A board's log, in the place of a server's, so that a test decides when a frame is accepted, or that it is refused. It
 * folds with the SDK's own replica.
 */
export class Log {
  readonly boards: LogBoard[] = [];
  readonly waiting: Waiting[] = [];
  readonly frames: Frame[] = [];
  readonly #state = new Replica();

  join(userID: string, left: Unsaved[] = [], connectionID = userID): LogBoard {
    const board = new LogBoard(this, userID, connectionID);
    board.left = left;
    this.frames.forEach((frame) => board.replica.apply(frame));
    this.boards.push(board);
    this.boards.forEach((b) => b.emit("members", b.members));
    return board;
  }

  leave(board: LogBoard): void {
    this.boards.splice(this.boards.indexOf(board), 1);
    this.boards.forEach((b) => b.emit("members", b.members));
  }

  /** Accepts what was submitted first, or all: everybody gets the event, then the sender its ack. */
  async accept(count = Infinity): Promise<void> {
    for (const { from, payload, resolve } of this.waiting.splice(0, count)) {
      const ops = opsOf(payload).map((op) => this.#effective(op));
      const frame = create(FrameSchema, {
        seq: BigInt(this.frames.length + 1), from: from.userID, status: Status.EVENT,
        payload: { case: "objectBatch", value: { ops } },
      });
      this.#state.apply(frame);
      this.frames.push(frame);
      for (const board of this.boards) {
        board.replica.apply(frame);
        board.emit("frame", frame);
      }
      resolve({ epoch: "", seq: this.frames.length, duplicate: false });
    }
    await settled();
  }

  async refuse(code = ErrorCode.TOO_LARGE): Promise<void> {
    for (const { reject } of this.waiting.splice(0, 1)) {
      reject(new FrameError("", "", {
        $typeName: "collaboard.v1.Error", code, message: "no", retryable: false, fieldViolations: [],
      }));
    }
    await settled();
  }

  /** Versions and z-indices are the server's. */
  #effective({ op }: ObjectOp): ObjectOp {
    if (op.case === "create") {
      const object = op.value.object!;
      return create(ObjectOpSchema, {
        op: { case: "create", value: { object: { ...object, version: 1n, zIndex: this.#place(object.zIndex, object.id) } } },
      });
    }
    const before = this.#state.object(op.value?.id ?? "");
    if (before === undefined) {
      throw new Error("an update of an object that never was");
    }
    const version = before.version + 1n;
    return create(ObjectOpSchema, op.case === "delete"
      ? { op: { case: "delete", value: { ...op.value, version } } }
      : op.case === "update" ? {
        op: {
          case: "update",
          value: {
            ...op.value, version,
            ...(op.value.zIndex !== undefined && { zIndex: this.#place(op.value.zIndex, before.id) }),
          },
        },
      } : {});
  }

  #place(asked: string, id: string): string {
    let place = asked === "" ? "z" : asked;
    while ([...this.#state.objects()].some((o) => o.zIndex === place && o.id !== id)) {
      place += "V";
    }
    return place;
  }
}

function opsOf(payload: Durable): ObjectOp[] {
  const make = (init: MessageInitShape<typeof ObjectOpSchema>) => create(ObjectOpSchema, init);
  switch (payload.case) {
    case "objectBatch":
      return (payload.value.ops ?? []).map(make);
    case "objectCreate":
      return [make({ op: { case: "create", value: payload.value } })];
    case "objectUpdate":
      return [make({ op: { case: "update", value: payload.value } })];
    case "objectDelete":
      return [make({ op: { case: "delete", value: payload.value } })];
    default:
      return [];
  }
}

/** Lets promises that are settled be heard of. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One member's board. */
export class LogBoard implements EngineBoard {
  readonly id = "board";
  replica = new Replica();
  readonly signals: Ephemeral[] = [];
  readonly submitted: Durable[] = [];
  /** What a page before this one had submitted. */
  left: Unsaved[] = [];
  /** What submit throws. */
  fails: Error | undefined;
  readonly #listeners = new Map<string, Set<(value: never) => void>>();

  constructor(readonly log: Log, readonly userID: string, readonly connectionID = userID) {}

  get members(): readonly Member[] {
    return this.log.boards.map((board) => ({
      $typeName: "collaboard.v1.Member", connectionId: board.connectionID, userId: board.userID, displayName: board.userID,
      color: "", role: 0,
    }));
  }

  unsaved(): Unsaved[] {
    return this.left;
  }

  submit(payload: Durable): Pending {
    if (this.fails !== undefined) {
      throw this.fails;
    }
    this.submitted.push(payload);
    const acked = new Promise<Ack>((resolve, reject) => this.log.waiting.push({ from: this, payload, resolve, reject }));
    acked.catch(() => {});
    return { id: "", stored: Promise.resolve(), acked };
  }

  signal(payload: Ephemeral): void {
    this.signals.push(payload);
    const frame = create(FrameSchema, { from: this.userID, connectionId: this.connectionID, status: Status.EVENT, payload });
    this.log.boards.filter((board) => board !== this).forEach((board) => board.emit("signal", frame));
  }

  on<K extends keyof BoardEvents>(name: K, listener: (value: BoardEvents[K]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit<K extends keyof BoardEvents>(name: K, value: BoardEvents[K]): void {
    this.#listeners.get(name)?.forEach((listener) => listener(value as never));
  }

  /** Comes back at another incarnation of the log, which has only these frames. */
  restart(frames: readonly Frame[]): void {
    this.replica = new Replica();
    this.replica.load(create(BoardSnapshotSchema, { last: true }));
    frames.forEach((frame) => this.replica.apply(frame));
    this.emit("resync", { from: { epoch: "a", seq: 1 }, to: { epoch: "b", seq: 0 }, reason: 1, error: undefined });
  }
}
