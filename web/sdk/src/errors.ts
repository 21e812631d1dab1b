import { ErrorCode, type Error as ErrorPayload, type FieldViolation } from "./gen/collaboard/v1/error_pb.js";
import type { Position } from "./position.js";
import { formatPosition } from "./position.js";

/** The codes of gRPC. */
export const StatusCode = {
  OK: 0, Cancelled: 1, Unknown: 2, InvalidArgument: 3, DeadlineExceeded: 4, NotFound: 5, AlreadyExists: 6,
  PermissionDenied: 7, ResourceExhausted: 8, FailedPrecondition: 9, Aborted: 10, OutOfRange: 11, Unimplemented: 12,
  Internal: 13, Unavailable: 14, DataLoss: 15, Unauthenticated: 16,
} as const;

/** How a gRPC call failed. */
export class StatusError extends Error {
  override name = "StatusError";

  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** The client was closed. A frame that was not acked is kept in the outbox, if that is kept at all. */
export class ClosedError extends Error {
  override name = "ClosedError";
  constructor() {
    super("the client is closed");
  }
}

/** How a board ends after leave(). */
export class LeftError extends Error {
  override name = "LeftError";
  constructor() {
    super("left the board");
  }
}

/** As many frames, or bytes, wait to be acked as the outbox may hold. */
export class OutboxFullError extends Error {
  override name = "OutboxFullError";
  constructor() {
    super("the outbox is full");
  }
}

/** The server will not serve this client as it is, and the client has given up. */
export class ConnectionError extends Error {
  override name = "ConnectionError";

  constructor(readonly status: StatusError) {
    super(`the server refuses the connection: ${status.message}`, { cause: status });
  }
}

/** The server refused a frame, or a join, for good: the same request cannot succeed later. */
export class FrameError extends Error {
  override name = "FrameError";
  readonly code: ErrorCode;
  /** The object's version now; only with STALE_UPDATE. */
  readonly currentVersion: bigint | undefined;
  /** The fields that are wrong; only with INVALID_FRAME and TOO_LARGE. */
  readonly violations: readonly FieldViolation[];

  /** frame is empty for a join. */
  constructor(readonly board: string, readonly frame: string, error: ErrorPayload) {
    super(`board ${board}${frame === "" ? "" : `: frame ${frame}`}: ${ErrorCode[error.code]}: ${error.message}`);
    this.code = error.code;
    this.currentVersion = error.currentVersion;
    this.violations = error.fieldViolations;
  }
}

/** The frames that were refused for good since the last flush. Everything else that was submitted is durable. */
export class FlushError extends Error {
  override name = "FlushError";

  /** refused are the first of them, at most 100; more is how many there were besides. */
  constructor(readonly refused: readonly FrameError[], readonly more: number) {
    super(`refused frames: ${refused.length + more}, the first: ${refused[0]?.message ?? ""}`);
  }
}

/** The ways in which a server can contradict itself. */
export type Desync = "a gap" | "a step backwards" | "a foreign epoch" | "an incomplete answer";

/**
 * What the server sent does not follow from what it sent before. The client counts it, ignores what was sent, and joins
 * the board anew: from its position, or where that does not help from a snapshot.
 */
export class DesyncError extends Error {
  override name = "DesyncError";

  constructor(readonly board: string, readonly kind: Desync, readonly have: Position, readonly got: Position) {
    super(`board ${board}: the server sent ${kind}: ${formatPosition(got)} after ${formatPosition(have)}`);
  }
}
