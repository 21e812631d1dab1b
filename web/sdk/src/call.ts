import {
  create, fromBinary, toBinary, type DescMessage, type DescMethodServerStreaming, type DescMethodUnary,
  type MessageInitShape, type MessageShape,
} from "@bufbuild/protobuf";

import { StatusCode, StatusError } from "./errors.js";
import { identify, type ClientOptions } from "./options.js";
import { Stream } from "./transport.js";

/** Makes a call that has one answer, on a WebSocket of its own. It rejects with a StatusError. */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions, method: DescMethodUnary<I, O>, request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const [answer] = await collect(options, method, request);
  if (answer === undefined) {
    throw new StatusError(StatusCode.Internal, "the server sent no answer");
  }
  return answer;
}

/** Makes a call that has any number of answers, and returns them all. It rejects with a StatusError. */
export function callAll<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions, method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>,
): Promise<MessageShape<O>[]> {
  return collect(options, method, request);
}

async function collect<I extends DescMessage, O extends DescMessage>(
  options: ClientOptions,
  method: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>[]> {
  const to = {
    url: options.url,
    method: `/${method.parent.typeName}/${method.name}`,
    metadata: await identify(options),
    webSocket: options.webSocket,
  };
  return new Promise((resolve, reject) => {
    const answers: MessageShape<O>[] = [];
    const stream = new Stream(to, {
      message: (bytes) => void answers.push(fromBinary(method.output, bytes)),
      end: (status) => (status === undefined ? resolve(answers) : reject(status)),
    });
    stream.send(toBinary(method.input, create(method.input, request)));
    stream.halfClose();
  });
}
