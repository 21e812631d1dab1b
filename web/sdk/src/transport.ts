import { encodeMessages, encodeMetadata, FrameReader, halfClose, lengthOf, type Metadata, type Pieces } from "./framing.js";
import { StatusCode, StatusError } from "./errors.js";

/** What is used of the platform's WebSocket, and of the package ws where there is none. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** The stream tells its owner, in this order, of any number of messages and of one end. */
export interface StreamHandler {
  message(bytes: Uint8Array): void;
  /** status is undefined where the server ended the stream with OK. */
  end(status: StatusError | undefined): void;
}

/** Where a call goes. */
export interface Endpoint {
  /** Of the server: "https://boards.example.com", or http, ws or wss. A path is kept as a prefix. */
  readonly url: string;
  /** As in "/collaboard.v1.BoardService/GetBoard". */
  readonly method: string;
  readonly metadata: Metadata;
  readonly webSocket?: WebSocketConstructor | undefined;
}

const maxTogether = 64 << 10; // bytes of messages in one of the WebSocket; one that is larger goes alone

/** One gRPC call on a WebSocket of its own. */
export class Stream {
  readonly #socket: WebSocketLike;
  readonly #handler: StreamHandler;
  readonly #reader = new FrameReader();
  #queue: Uint8Array<ArrayBuffer>[] | undefined = []; // until the socket is open
  #headers = false;
  #ended = false;

  /** Begins the call. It throws where the URL or the metadata are none, or the platform has no WebSocket. */
  constructor(to: Endpoint, handler: StreamHandler) {
    const metadata = new Map([["content-type", "application/grpc-web+proto"], ["x-grpc-web", "1"], ...to.metadata]);
    this.#queue = [encodeMetadata(metadata)];
    this.#handler = handler;
    const Socket = to.webSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    if (Socket === undefined) {
      throw new TypeError("this platform has no WebSocket: pass a constructor, such as that of the package ws");
    }
    this.#socket = new Socket(methodURL(to.url, to.method, "ws"), ["grpc-websockets"]);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      const queue = this.#queue ?? [];
      this.#queue = undefined;
      queue.forEach((data) => this.#socket.send(data));
    };
    this.#socket.onmessage = (event: { data: unknown }) => this.#receive(event.data);
    this.#socket.onerror = () => {}; // what it was is not told to scripts; a close follows
    this.#socket.onclose = (event: { code: number; reason: string }) => {
      const reason = event.reason === "" ? "" : `: ${event.reason}`;
      this.#end(new StatusError(StatusCode.Unavailable, `the connection was closed (${event.code})${reason}`));
    };
  }

  /** Bytes that were sent and have not left yet. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount + (this.#queue ?? []).reduce((sum, data) => sum + data.length, 0);
  }

  /** Sends messages, many in one of the WebSocket: the way of each of those through the browser is what costs most. */
  send(...messages: Pieces[]): void {
    let together: Pieces[] = [];
    let bytes = 0;
    for (const message of messages) {
      const length = lengthOf(message);
      if (together.length > 0 && bytes + length > maxTogether) {
        this.#write(encodeMessages(together));
        [together, bytes] = [[], 0];
      }
      together.push(message);
      bytes += length;
    }
    if (together.length > 0) {
      this.#write(encodeMessages(together));
    }
  }

  /** There will be no more messages; those of the server still come. */
  halfClose(): void {
    this.#write(halfClose);
  }

  /** Ends the call at once, with CANCELLED. */
  cancel(): void {
    this.#end(new StatusError(StatusCode.Cancelled, "the call was cancelled"));
  }

  #write(data: Uint8Array<ArrayBuffer>): void {
    if (this.#ended) {
      return;
    }
    if (this.#queue !== undefined) {
      this.#queue.push(data);
    } else {
      this.#socket.send(data);
    }
  }

  #receive(data: unknown): void {
    if (this.#ended) {
      return;
    }
    try {
      if (!(data instanceof ArrayBuffer)) {
        throw new TypeError("the server sent text");
      }
      for (const frame of this.#reader.push(new Uint8Array(data))) {
        if (this.#ended) {
          return;
        }
        if (frame.kind === "message") {
          this.#handler.message(frame.bytes);
        } else if (this.#headers || frame.metadata.has("grpc-status")) {
          this.#end(statusOf(frame.metadata));
        } else {
          this.#headers = true;
        }
      }
    } catch (cause) {
      this.#end(new StatusError(StatusCode.Internal, `what the server sent cannot be read: ${String(cause)}`));
    }
  }

  #end(status: StatusError | undefined): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    this.#queue = undefined;
    this.#socket.close();
    this.#handler.end(status);
  }
}

/** What the trailers of a call say; undefined for OK. */
export function statusOf(trailers: Metadata): StatusError | undefined {
  const code = Number(trailers.get("grpc-status") ?? StatusCode.Unknown);
  if (code === 0) {
    return undefined;
  }
  const message = trailers.get("grpc-message") ?? "";
  return new StatusError(Number.isInteger(code) ? code : StatusCode.Unknown, percentDecoded(message));
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a method, by HTTP or by WebSocket, with TLS where the server's has it. */
export function methodURL(base: string, method: string, scheme: "http" | "ws"): string {
  const url = new URL(base);
  url.protocol = url.protocol.replace(/^(http|ws)/, scheme);
  url.pathname = url.pathname.replace(/\/$/, "") + method;
  return url.href;
}
