import { StatusCode, StatusError } from "./errors.js";
import { decodeFrame, encodeRequest } from "./frames.js";
import { CollaborationService } from "./gen/collaboard/v1/collaboration_service_pb.js";
import type { Pieces } from "./framing.js";
import type { Frame } from "./gen/collaboard/v1/frame_pb.js";
import { newID } from "./ids.js";
import { defaults, identify, type ClientOptions } from "./options.js";
import { Stream } from "./transport.js";

/** The link tells its owner of frames, and then of one end. */
export interface LinkHandler {
  frame(link: Link, frame: Frame): void;
  end(link: Link, status: StatusError): void;
}

/** One connection, with the stream on it. Times are those of performance.now(). */
export class Link {
  /** The server has welcomed it. */
  online = false;

  readonly #handler: LinkHandler;
  readonly #heartbeat: { interval: number; timeout: number };
  #stream: Stream | undefined;
  #ended = false;
  #heard = performance.now(); // when something came last, or the beginning
  #answerBy: number | undefined; // when something must have come, since a ping was sent

  constructor(options: ClientOptions, handler: LinkHandler) {
    this.#handler = handler;
    this.#heartbeat = options.heartbeat ?? defaults.heartbeat;
    this.#open(options).catch((cause: unknown) => {
      const status = cause instanceof StatusError ? cause : new StatusError(StatusCode.Unavailable, String(cause));
      this.#end(status);
    });
  }

  get bufferedAmount(): number {
    return this.#stream?.bufferedAmount ?? 0;
  }

  send(...frames: Pieces[]): void {
    this.#stream?.send(...frames);
  }

  /** Ends it without telling its owner. */
  cancel(): void {
    this.#ended = true;
    this.#stream?.cancel();
  }

  /**
   * Sends a ping when it has been silent for long, and ends when it stays so. Returns when to look again. The time is
   * counted from the ping: timers of a page in the background come late, and that is not the server's silence.
   */
  watch(now: number): number {
    const { interval, timeout } = this.#heartbeat;
    if (this.online && this.#answerBy === undefined && now >= this.#heard + interval) {
      this.probe(now, timeout);
    }
    const deadline = Math.min(this.#answerBy ?? Infinity, this.online ? Infinity : this.#heard + timeout);
    if (now >= deadline) {
      this.#end(new StatusError(StatusCode.Unavailable, "the server has fallen silent"));
    }
    return Math.min(deadline, this.online && this.#answerBy === undefined ? this.#heard + interval : Infinity);
  }

  /** Sends a ping, after which something must come within timeout. */
  probe(now: number, timeout: number): void {
    this.#answerBy = Math.min(this.#answerBy ?? Infinity, now + timeout);
    if (this.online) { // or the welcome is the answer
      this.send([encodeRequest(newID(), "", { case: "ping", value: {} })]);
    }
  }

  async #open(options: ClientOptions): Promise<void> {
    const metadata = await identify(options);
    if (this.#ended) {
      return;
    }
    const { parent, name } = CollaborationService.method.collaborate;
    const to = { url: options.url, method: `/${parent.typeName}/${name}`, metadata, webSocket: options.webSocket };
    this.#stream = new Stream(to, {
      message: (bytes) => {
        this.#heard = performance.now();
        this.#answerBy = undefined;
        this.#handler.frame(this, decodeFrame(bytes));
      },
      end: (status) => this.#end(status ?? new StatusError(StatusCode.Unavailable, "the server ended the stream")),
    });
  }

  #end(status: StatusError): void {
    if (!this.#ended) {
      this.#ended = true;
      this.#stream?.cancel();
      this.#handler.end(this, status);
    }
  }
}

/**
 * Whether the next connection would end as this one did. A token may have expired on a connection that had been
 * welcomed: the next one begins with another. From a server that has ever welcomed the client, other refusals are taken
 * for the word of a proxy, which is passing.
 */
export function isFatal({ code }: StatusError, welcomed: boolean, ever: boolean): boolean {
  switch (code) {
    case StatusCode.Unauthenticated:
      return !welcomed;
    case StatusCode.PermissionDenied:
    case StatusCode.Unimplemented:
    case StatusCode.InvalidArgument:
    case StatusCode.FailedPrecondition:
      return !ever;
    default:
      return false;
  }
}
