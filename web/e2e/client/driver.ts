import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

import type { Frame, FrameSchema } from "@collaboard/sdk";

/** How a call ended: a code of gRPC. */
export interface End {
  readonly code: number;
  readonly message: string;
}

export interface Handler {
  message(frame: Frame): void;
  end(end: End): void;
}

/** A call of Collaborate. */
export interface Call {
  send(frame: MessageInitShape<typeof FrameSchema>): void;
  halfClose(): void;
  cancel(): void;
}

/** Where a call goes, and who makes it. */
export interface Target {
  readonly url: string;
  readonly metadata: Record<string, string>;
}

export type Method<I extends DescMessage, O extends DescMessage> = DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>;

/** What the scenario needs of a client of gRPC-Web. */
export interface Driver {
  collaborate(to: Target, handler: Handler): Call;
  /** A call with one request, and all its answers: one of a unary method. It rejects with an End. */
  call<I extends DescMessage, O extends DescMessage>(
    to: Target, method: Method<I, O>, request: MessageInitShape<I>,
  ): Promise<MessageShape<O>[]>;
}
