import { create, fromBinary, toBinary, type MessageShape } from "@bufbuild/protobuf";

import { FrameSchema, type StatusError } from "@collaboard/sdk";
import { CollaborationService } from "../../sdk/src/gen/collaboard/v1/collaboration_service_pb.ts";
import { Stream } from "../../sdk/src/transport.ts";
import type { Driver, Target } from "./driver.ts";

/** The SDK's own transport: all calls over WebSockets. */
export const sdk: Driver = {
  collaborate(to, handler) {
    const call = new Stream(endpoint(to, CollaborationService.method.collaborate), {
      message: (bytes) => handler.message(fromBinary(FrameSchema, bytes)),
      end: (status) => handler.end(ended(status)),
    });
    return {
      send: (frame) => call.send([toBinary(FrameSchema, create(FrameSchema, frame))]),
      halfClose: () => call.halfClose(),
      cancel: () => call.cancel(),
    };
  },
  call(to, method, request) {
    return new Promise((resolve, reject) => {
      const answers: MessageShape<typeof method.output>[] = [];
      const call = new Stream(endpoint(to, method), {
        message: (bytes) => void answers.push(fromBinary(method.output, bytes)),
        end: (status) => (status === undefined ? resolve(answers) : reject(ended(status))),
      });
      call.send([toBinary(method.input, create(method.input, request))]);
      call.halfClose();
    });
  },
};

function endpoint(to: Target, method: { parent: { typeName: string }; name: string }) {
  return { url: to.url, method: `/${method.parent.typeName}/${method.name}`, metadata: new Map(Object.entries(to.metadata)) };
}

function ended(status: StatusError | undefined) {
  return { code: status?.code ?? 0, message: status?.message ?? "" };
}
