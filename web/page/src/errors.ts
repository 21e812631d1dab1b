import { ErrorCode, FrameError, StatusCode, StatusError } from "@collaboard/sdk";

/** Whether a call failed because the server is away. */
export function isOutage(error: unknown): boolean {
  return error instanceof StatusError
    && [StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.Unknown].some((code) => code === error.code);
}

/** What a person is told of a failed call. */
export function explain(error: unknown): string {
  if (isOutage(error)) {
    return "The server cannot be reached.";
  }
  if (error instanceof StatusError) {
    switch (error.code) {
      case StatusCode.NotFound:
        return "This board does not exist any more.";
      case StatusCode.PermissionDenied:
        return "You may not do this.";
      case StatusCode.ResourceExhausted:
        return "The server has too much to do. Try again in a moment.";
    }
  }
  if (error instanceof FrameError) {
    return `${reason(error.code)}.`;
  }
  return error instanceof Error ? error.message : String(error);
}

/**
 * What a person is told of a change that was refused for good, while the page of openBoard is open. Nothing where that is
 * the board, and is gone: its page says so.
 */
export function explainRefusal({ board, code }: FrameError, openBoard: string | undefined): string | undefined {
  if (code === ErrorCode.BOARD_NOT_FOUND) {
    return board === openBoard ? undefined : "Changes to a board were not saved: it was deleted.";
  }
  return `A change was not saved, and is undone. ${reason(code)}.`;
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
