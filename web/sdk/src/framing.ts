// What crosses the WebSocket: the subprotocol "grpc-websockets", as the package @improbable-eng/grpc-web speaks it.
//
// To the server, each in a binary message of its own: first the metadata as lines "name: value" that end with CRLF;
// then any number of messages, each a byte 0 and a gRPC frame, or several, which that package does not send and our
// server takes; then a single byte 1, the half-close. From the server comes a sequence of gRPC-web frames, cut into
// WebSocket messages anywhere. A gRPC frame is a byte of flags, the length as 4 bytes, big-endian, and as many bytes.
// Over fetch the frames are the same, and headers are those of HTTP.

/** Metadata of a call. Names are lower case; values are printable ASCII. */
export type Metadata = ReadonlyMap<string, string>;

/** A gRPC-web frame from the server: a message, or metadata (the headers before all messages, else the trailers). */
export type WebFrame = { kind: "message"; bytes: Uint8Array } | { kind: "metadata"; metadata: Metadata };

const prefixBytes = 5;
const metadataFlag = 0x80;

/** The largest frame that is taken from a server: more than any message of the contract. */
export const maxFrameBytes = 8 << 20;

/** What the bytes from the server break. Nothing that follows can be read. */
export class FramingError extends Error {
  override name = "FramingError";
}

/** The first message of a call. It throws a TypeError where a name or a value cannot be sent. */
export function encodeMetadata(metadata: Metadata): Uint8Array<ArrayBuffer> {
  let text = "";
  for (const [name, value] of metadata) {
    if (!/^[0-9a-z_.-]+$/.test(name) || !/^[ -~]*$/.test(value)) {
      throw new TypeError(`metadata ${JSON.stringify(name)} is not printable ASCII`);
    }
    text += `${name}: ${value}\r\n`;
  }
  return new TextEncoder().encode(text);
}

/** A message, in pieces that are put together where it is sent: to do that twice would take longer than anything else. */
export type Pieces = readonly Uint8Array[];

export function lengthOf(message: Pieces): number {
  return message.reduce((sum, { length }) => sum + length, 0);
}

/** One message of the WebSocket, with all of these. */
export function encodeMessages(messages: readonly Pieces[]): Uint8Array<ArrayBuffer> {
  // The byte that says "messages" is 0, and so are flags.
  const out = new Uint8Array(messages.reduce((sum, message) => sum + prefixBytes + lengthOf(message), 1));
  const view = new DataView(out.buffer);
  let at = 1;
  for (const message of messages) {
    view.setUint32(at + 1, lengthOf(message));
    at += prefixBytes;
    for (const piece of message) {
      out.set(piece, at);
      at += piece.length;
    }
  }
  return out;
}

/** The body of a request over fetch: one gRPC frame. */
export function encodeUnary(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeMessages([[message]]).subarray(1);
}

export const halfClose: Uint8Array<ArrayBuffer> = Uint8Array.of(1);

/** Puts frames together again from the messages of the WebSocket. */
export class FrameReader {
  #rest = new Uint8Array(0);

  /** Takes what came, and returns the frames that are complete now. It throws a FramingError. */
  push(chunk: Uint8Array): WebFrame[] {
    let data = chunk;
    if (this.#rest.length > 0) {
      data = new Uint8Array(this.#rest.length + chunk.length);
      data.set(this.#rest);
      data.set(chunk, this.#rest.length);
    }
    const frames: WebFrame[] = [];
    let at = 0;
    while (data.length - at >= prefixBytes) {
      const flags = data[at] ?? 0;
      const length = new DataView(data.buffer, data.byteOffset + at).getUint32(1);
      if ((flags & ~metadataFlag) !== 0) {
        throw new FramingError(`a frame has flags ${flags}: compression was not asked for`);
      }
      if (length > maxFrameBytes) {
        throw new FramingError(`a frame of ${length} bytes is too large`);
      }
      if (data.length - at < prefixBytes + length) {
        break;
      }
      const bytes = data.subarray(at + prefixBytes, at + prefixBytes + length);
      frames.push(flags === 0 ? { kind: "message", bytes } : { kind: "metadata", metadata: decodeMetadata(bytes) });
      at += prefixBytes + length;
    }
    this.#rest = data.slice(at);
    return frames;
  }
}

/** Lines without a colon are left out; of a name that comes twice both values count, as in HTTP. */
function decodeMetadata(bytes: Uint8Array): Metadata {
  const metadata = new Map<string, string>();
  for (const line of new TextDecoder().decode(bytes).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) {
      const name = line.slice(0, colon).trim().toLowerCase();
      const value = line.slice(colon + 1).trim();
      const before = metadata.get(name);
      metadata.set(name, before === undefined ? value : `${before}, ${value}`);
    }
  }
  return metadata;
}
