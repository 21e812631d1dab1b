import {
  ClosedError, ConnectionError, ErrorCode, FrameError, LeftError, OutboxFullError, StatusCode, StatusError,
} from "@collaboard/sdk";

/** Whether a call failed because the server is away. */
export function isOutage(error: unknown): boolean {
  return error instanceof StatusError
    && [StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.Unknown].some((code) => code === error.code);
}

/** What a person is told of what failed. What the server or a library says of it is for programmers. */
export function explain(error: unknown): string {
  return isOutage(error) ? "The server cannot be reached." : `${why(error)}.`;
}

function why(error: unknown): string {
  if (error instanceof FrameError) {
    return reason(error.code);
  }
  if (error instanceof StatusError) {
    return statusReasons.get(error.code) ?? "The server could not do it";
  }
  if (error instanceof OutboxFullError) {
    return "Too many changes wait to be saved";
  }
  if (error instanceof ClosedError || error instanceof LeftError || error instanceof ConnectionError) {
    return "This page is not connected any more: load it again";
  }
  return "Something went wrong";
}

const statusReasons = new Map<number, string>([
  [StatusCode.NotFound, "This board does not exist any more"],
  [StatusCode.PermissionDenied, "You may not do this"],
  [StatusCode.Unauthenticated, "You may not do this"],
  [StatusCode.InvalidArgument, "The server could not take it"],
  [StatusCode.FailedPrecondition, "There is too much of it"],
  [StatusCode.OutOfRange, "The history does not go back that far any more"],
  [StatusCode.Unimplemented, "This server cannot do it"],
  [StatusCode.ResourceExhausted, "The server has too much to do: try again in a moment"],
]);

/** What a person is told of a change that could not be made. */
export function explainUndone(error: unknown): string {
  return `A change was not saved, and is undone. ${explain(error)}`;
}

/**
 * What a person is told of a change that was refused for good, while the page of openBoard is open. Nothing where that is
 * the board, and is gone: its page says so.
 */
export function explainRefusal(error: FrameError, openBoard: string | undefined): string | undefined {
  if (error.code === ErrorCode.BOARD_NOT_FOUND) {
    return error.board === openBoard ? undefined : "Changes to a board were not saved: it was deleted.";
  }
  return explainUndone(error);
}

function reason(code: ErrorCode): string {
  switch (code) {
    case ErrorCode.BOARD_NOT_FOUND:
      return "This board does not exist any more";
    case ErrorCode.UNAUTHENTICATED:
    case ErrorCode.PERMISSION_DENIED:
    case ErrorCode.NOT_JOINED:
      return "You may not do this";
    case ErrorCode.OBJECT_NOT_FOUND:
    case ErrorCode.OBJECT_EXISTS:
    case ErrorCode.STALE_UPDATE:
      return "Somebody else had changed the same thing";
    case ErrorCode.TOO_LARGE:
      return "It is too large";
    case ErrorCode.RATE_LIMITED:
    case ErrorCode.RESOURCE_EXHAUSTED:
    case ErrorCode.UNAVAILABLE:
      return "The server has too much to do";
    default:
      return "The server could not take it";
  }
}
