import { FrameError } from "./errors.js";
import { ErrorCode } from "./gen/collaboard/v1/error_pb.js";
import type { Limits } from "./gen/collaboard/v1/frame_pb.js";

// What a server accepts, as it says in its welcome. What it says nothing of is 0 there.

const maxFrameBytes = 1 << 20;
const spare = 8;

/** Throws a FrameError with TOO_LARGE where the server would refuse a frame of so many bytes. */
export function checkSize(board: string, frame: string, bytes: number, limits: Limits | undefined): void {
  const limit = Math.min(maxFrameBytes, positive(limits?.maxFrameBytes) ?? Infinity);
  if (bytes > limit) {
    throw new FrameError(board, frame, {
      $typeName: "collaboard.v1.Error", code: ErrorCode.TOO_LARGE, retryable: false, fieldViolations: [],
      message: `the frame has ${bytes} bytes, ${limit} are allowed`,
    });
  }
}

/**
 * How many frames and bytes may be in flight, where the client wants so many frames. A few of what the server allows are
 * left for joins and pings, so that these do not wait behind frames that are being committed.
 */
export function windowOf(wanted: number, limits: Limits | undefined): [frames: number, bytes: number] {
  const frames = Math.max(wanted, 1);
  const allowed = positive(limits?.maxInFlightFrames);
  return [
    allowed === undefined ? frames : Math.min(frames, Math.max(allowed - spare, 1)),
    positive(limits?.maxInFlightBytes) ?? 1 << 20,
  ];
}

function positive(n: number | bigint | undefined): number | undefined {
  return n === undefined || n <= 0 ? undefined : Number(n);
}
