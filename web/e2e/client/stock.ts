import { create, fromBinary, toBinary, type DescMessage, type DescMethod, type Message, type MessageShape } from "@bufbuild/protobuf";
import { grpc } from "@improbable-eng/grpc-web";

import { FrameSchema, type Frame } from "@collaboard/sdk";
import { CollaborationService } from "../../sdk/src/gen/collaboard/v1/collaboration_service_pb.ts";
import type { Driver } from "./driver.ts";

/** The stock client of @improbable-eng/grpc-web: streams over its WebSocket transport, other calls over fetch. */
export const stock: Driver = {
  collaborate(to, handler) {
    const method = CollaborationService.method.collaborate;
    const call = grpc.client<Adapted, Adapted, ReturnType<typeof adapt>>(adapt(method), { host: to.url, transport: grpc.WebsocketTransport() });
    call.onMessage((answer) => handler.message(answer.message as Frame));
    call.onEnd((code, message) => handler.end({ code, message }));
    call.start(to.metadata);
    return {
      send: (frame) => call.send(new (messageClass(FrameSchema))(create(FrameSchema, frame))),
      halfClose: () => call.finishSend(),
      cancel: () => call.close(),
    };
  },
  call(to, method, request) {
    return new Promise((resolve, reject) => {
      const answers: MessageShape<typeof method.output>[] = [];
      grpc.invoke<Adapted, Adapted, ReturnType<typeof adapt>>(adapt(method), {
        host: to.url, metadata: to.metadata, transport: grpc.FetchReadableStreamTransport({}),
        request: new (messageClass(method.input))(create(method.input, request)),
        onMessage: (answer) => void answers.push(answer.message as MessageShape<typeof method.output>),
        onEnd: (code, message) => (code === grpc.Code.OK ? resolve(answers) : reject({ code, message })),
      });
    });
  },
};

/** A method of protobuf-es, as the stock client describes methods. */
function adapt(method: DescMethod) {
  return {
    methodName: method.name, service: { serviceName: method.parent.typeName },
    requestStream: method.methodKind === "bidi_streaming", responseStream: method.methodKind !== "unary",
    requestType: messageClass(method.input), responseType: messageClass(method.output),
  };
}

interface Adapted extends grpc.ProtobufMessage {
  readonly message: Message;
}

/** A message of protobuf-es, as the stock client wants messages, which are those of google-protobuf. */
function messageClass(schema: DescMessage): grpc.ProtobufMessageClass<Adapted> & { new (message?: Message): Adapted } {
  return class Class implements Adapted {
    constructor(readonly message: Message = create(schema)) {}
    static deserializeBinary = (bytes: Uint8Array) => new Class(fromBinary(schema, bytes));
    serializeBinary = () => toBinary(schema, this.message);
    toObject = () => ({ ...this.message });
  };
}
