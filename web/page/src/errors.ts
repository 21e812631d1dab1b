import { StatusCode, StatusError } from "@collaboard/sdk";

/** What a person is told of a failed call. */
export function explain(error: unknown): string {
  if (error instanceof StatusError) {
    switch (error.code) {
      case StatusCode.Unavailable:
      case StatusCode.DeadlineExceeded:
      case StatusCode.Unknown:
        return "The server cannot be reached.";
      case StatusCode.NotFound:
        return "This board does not exist any more.";
      case StatusCode.PermissionDenied:
        return "You may not do this.";
      case StatusCode.ResourceExhausted:
        return "The server has too much to do. Try again in a moment.";
    }
  }
  return error instanceof Error ? error.message : String(error);
}
