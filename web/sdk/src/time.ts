import type { Duration } from "@bufbuild/protobuf/wkt";

/** The longest that a server can make a client wait in one go, in milliseconds. */
const maxRetryAfter = 5 * 60_000;

/** How long a refusal asks to wait, in milliseconds, in bounds that no server can talk us out of. */
export function retryAfter(error: { retryAfter?: Duration | undefined } | undefined): number {
  const d = error?.retryAfter;
  return d === undefined ? 0 : Math.min(Math.max(Number(d.seconds) * 1000 + d.nanos / 1e6, 0), maxRetryAfter);
}
