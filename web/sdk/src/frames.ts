import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";

import { FrameSchema, Status, type Frame } from "./gen/collaboard/v1/frame_pb.js";
import { encodeText } from "./text.js";

/** What a frame says, as protobuf-es initialises it: { case: "chatMessage", value: { text: "hello" } }. */
type Payload = NonNullable<MessageInitShape<typeof FrameSchema>["payload"]>;

/** Payloads that are stored and ordered. */
export type Durable = Extract<
  Payload,
  { case: "objectCreate" | "objectUpdate" | "objectDelete" | "objectBatch" | "chatMessage" | "custom" }
>;

/** Payloads that are relayed to the other members, and never stored. */
export type Ephemeral = Extract<
  Payload,
  { case: "cursorMove" | "selection" | "viewport" | "objectDrag" | "typing" | "customSignal" }
>;

/** Payloads that are about the client's connection and memberships. */
export type Control = Extract<Payload, { case: "boardJoin" | "boardPart" | "ping" }>;

const ephemeral: ReadonlySet<string | undefined> = new Set<Ephemeral["case"]>([
  "cursorMove", "selection", "viewport", "objectDrag", "typing", "customSignal",
]);

export function isEphemeral(frame: Frame): boolean {
  return ephemeral.has(frame.payload.case);
}

export function encodeRequest(id: string, boardId: string, payload: Durable | Ephemeral | Control): Uint8Array {
  return toBinary(FrameSchema, create(FrameSchema, { id, boardId, status: Status.REQUEST, payload }));
}

const afterTag = 0x42; // field 8, of bytes

/** What naming its predecessor adds to an encoded frame. */
export const afterBytes = 38;

/** An encoded request that names its predecessor. Fields may come in any order, so it is put at the end. */
export function withAfter(body: Uint8Array, after: string): Uint8Array {
  if (after === "") {
    return body;
  }
  const id = encodeText(after);
  const out = new Uint8Array(body.length + 2 + id.length);
  out.set(body);
  out.set([afterTag, id.length], body.length);
  out.set(id, body.length + 2);
  return out;
}

export function decodeFrame(bytes: Uint8Array): Frame {
  return fromBinary(FrameSchema, bytes);
}
