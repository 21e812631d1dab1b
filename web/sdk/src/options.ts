import type { BackoffLimits } from "./backoff.js";
import type { Metadata } from "./framing.js";
import type { Locks } from "./store.js";
import type { WebSocketConstructor } from "./transport.js";

/** How a Client works. Only url is required. Times are in milliseconds. */
export interface ClientOptions {
  /** Of the server: "https://boards.example.com", or with http, ws or wss. */
  url: string;
  /** Who the user is, to a server that does not authenticate. 1 to 128 printable characters. */
  userId?: string;
  /** The name that other members see. 1 to 128 printable characters. */
  displayName?: string;
  /** The colour in which other members see this one: "#rrggbb". */
  color?: string;
  /** Asked for a bearer token at every connection and every call. An error counts as a failed connection. */
  token?: () => string | Promise<string>;

  /** How many durable frames, and encoded bytes, may wait for their acks. By default 4096 and 16 MiB. */
  outbox?: { frames: number; bytes: number };
  /**
   * Where frames that are not acked survive a reload and a crash: by default in the platform's IndexedDB, if it has one,
   * in a database of this server and user. false keeps them in memory. Another indexedDB needs its global IDBKeyRange.
   */
  storage?: false | { name?: string; indexedDB?: IDBFactory; locks?: Locks };

  /** Most durable frames in flight: by default what the server allows, up to 1024. */
  window?: number;
  /** Bounds of the pause before a reconnect, and before anything else is tried again. By default 100 ms and 15 s. */
  backoff?: BackoffLimits;
  /**
   * When nothing came for interval a ping is sent, and when still nothing came for timeout the connection is given up. A
   * new connection has timeout until the server's welcome. By default 20 s and 10 s. When the platform says that it is
   * offline, a ping is sent at once, and must be answered within 2 s.
   */
  heartbeat?: { interval: number; timeout: number };
  /**
   * How long a call may take until its answer, from which time on it fails with DEADLINE_EXCEEDED; 15 s by default. What
   * it uploads may take another second for each 16 KiB. A call that streams its answers may take so long for each of them.
   */
  callTimeout?: number;
  /** By default that of the platform. */
  webSocket?: WebSocketConstructor;
}

export const defaults = {
  outbox: { frames: 4096, bytes: 16 << 20 },
  window: 1024,
  backoff: { shortest: 100, longest: 15_000 },
  heartbeat: { interval: 20_000, timeout: 10_000 },
  callTimeout: 15_000,
} as const;

/** Who the caller is, for the metadata of a call. */
export async function identify(options: ClientOptions): Promise<Metadata> {
  const metadata = new Map<string, string>();
  if (options.userId !== undefined) {
    metadata.set("user-id", encodeURIComponent(options.userId));
  }
  if (options.displayName !== undefined) {
    metadata.set("display-name", encodeURIComponent(options.displayName));
  }
  if (options.color !== undefined) {
    metadata.set("color", options.color);
  }
  const token = await options.token?.();
  if (token !== undefined && token !== "") {
    metadata.set("authorization", `Bearer ${token}`);
  }
  return metadata;
}
