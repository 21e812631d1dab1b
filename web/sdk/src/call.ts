import {
  create, fromBinary, toBinary, type DescMessage, type DescMethodServerStreaming, type DescMethodUnary,
  type MessageInitShape, type MessageShape,
} from "@bufbuild/protobuf";

import { StatusCode, StatusError } from "./errors.js";
import { encodeUnary, FrameReader } from "./framing.js";
import { defaults, identify, type ClientOptions } from "./options.js";
import { methodURL, statusOf, Stream } from "./transport.js";

const slowestUpload = (16 << 10) / 1000; // bytes a millisecond: what a call uploads adds to its time
const longestTimeout = 99_999_999; // ms: 8 digits are what gRPC has for it, and timers take it

/**
 * Makes a call that has one answer, on a WebSocket of its own. It rejects with a StatusError; with DEADLINE_EXCEEDED where
 * there is no answer in time. The server is told the time, too.
 */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions, method: DescMethodUnary<I, O>, request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const message = toBinary(method.input, create(method.input, request));
  const timeout = timeoutOf(options, message);
  const abort = new AbortController();
  return within(timeout, abort, identify(options).then((identity) => new Promise((resolve, reject) => {
    abort.signal.throwIfAborted();
    const metadata = new Map([...identity, ["grpc-timeout", `${timeout}m`]]);
    const to = { url: options.url, method: pathOf(method), metadata, webSocket: options.webSocket };
    let answer: MessageShape<O> | undefined;
    const stream = new Stream(to, {
      message: (bytes) => void (answer ??= fromBinary(method.output, bytes)),
      end: (status) => {
        if (status === undefined && answer !== undefined) {
          resolve(answer);
        } else {
          reject(status ?? new StatusError(StatusCode.Internal, "the server sent no answer"));
        }
      },
    });
    abort.signal.addEventListener("abort", () => stream.cancel());
    stream.send([message]);
    stream.halfClose();
  })));
}

/** Makes a call that has any number of answers, and returns them all. It rejects with a StatusError. */
export async function callAll<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions, method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>,
): Promise<MessageShape<O>[]> {
  const answers: MessageShape<O>[] = [];
  for await (const answer of callStream(options, method, request)) {
    answers.push(answer);
  }
  return answers;
}

/**
 * Makes a call that has any number of answers, over fetch: unlike a WebSocket it lets the server wait for its reader. The
 * call begins with the first answer that is asked for, and ends early where the reader does. It throws a StatusError; with
 * DEADLINE_EXCEEDED where an answer that is waited for does not come in time.
 */
export async function* callStream<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions, method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>,
): AsyncGenerator<MessageShape<O>, void, undefined> {
  const message = toBinary(method.input, create(method.input, request));
  const timeout = timeoutOf(options, message);
  const abort = new AbortController();
  const inTime = <T>(step: Promise<T>): Promise<T> => within(timeout, abort, step);
  try {
    const identity = await inTime(identify(options));
    const response = await unlessCut(inTime(fetch(methodURL(options.url, pathOf(method), "http"), {
      method: "POST",
      headers: [["content-type", "application/grpc-web+proto"], ["x-grpc-web", "1"], ...identity],
      body: encodeUnary(message),
      signal: abort.signal,
    })));
    if (!response.ok || response.body === null) {
      const text = await unlessCut(inTime(response.text()));
      throw new StatusError(httpCodes.get(response.status) ?? StatusCode.Unknown, `HTTP ${response.status}: ${text.trim()}`);
    }
    const body = response.body.getReader();
    const frames = new FrameReader();
    for (;;) {
      const { value, done } = await unlessCut(inTime(body.read()));
      if (done) {
        throw new StatusError(StatusCode.Unavailable, "the answer was cut off");
      }
      for (const frame of readable(() => frames.push(value))) {
        if (frame.kind === "message") {
          yield readable(() => fromBinary(method.output, frame.bytes));
          continue;
        }
        const status = statusOf(frame.metadata);
        if (status !== undefined) {
          throw status;
        }
        return;
      }
    }
  } finally {
    abort.abort(); // does nothing where it has ended
  }
}

function pathOf(method: DescMethodUnary | DescMethodServerStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** What HTTP says where the call did not get as far as gRPC. */
const httpCodes = new Map<number, number>([
  [400, StatusCode.Internal], [401, StatusCode.Unauthenticated], [403, StatusCode.PermissionDenied], [404, StatusCode.Unimplemented],
  [413, StatusCode.ResourceExhausted], [429, StatusCode.Unavailable], [502, StatusCode.Unavailable], [503, StatusCode.Unavailable],
  [504, StatusCode.Unavailable],
]);

/** In whole milliseconds. */
function timeoutOf(options: ClientOptions, message: Uint8Array): number {
  return Math.ceil(Math.min((options.callTimeout ?? defaults.callTimeout) + message.length / slowestUpload, longestTimeout));
}

/** Rejects with DEADLINE_EXCEEDED, and ends the call, where a step of it takes longer than timeout. */
async function within<T>(timeout: number, call: AbortController, step: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StatusError(StatusCode.DeadlineExceeded, `no answer within ${timeout} ms`));
      call.abort();
    }, timeout);
  });
  try {
    return await Promise.race([late, step]);
  } finally {
    clearTimeout(timer);
  }
}

async function unlessCut<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (cause) {
    throw cause instanceof StatusError ? cause : new StatusError(StatusCode.Unavailable, `the connection failed: ${String(cause)}`);
  }
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new StatusError(StatusCode.Internal, `what the server sent cannot be read: ${String(cause)}`);
  }
}
