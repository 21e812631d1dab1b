import { create, fromBinary, toBinary, type DescField, type MessageInitShape } from "@bufbuild/protobuf";

import { decodeUsual, lengthTag } from "./decode.js";
import type { Pieces } from "./framing.js";
import { FrameSchema, Status, type Frame } from "./gen/collaboard/v1/frame_pb.js";

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

// protobuf-es writes and reads by reflection, which was a third of a page's work where many frames are in flight. What is
// the same in all frames is done by hand, here and in decode.ts.

const payloads = new Map(FrameSchema.fields.map((field) => [field.localName, field]));

/** The bytes of a request. The ids are UUIDs, or empty. */
export function encodeRequest(id: string, boardId: string, payload: Durable | Ephemeral | Control): Uint8Array {
  const { number, message } = payloads.get(payload.case) as DescField & { fieldKind: "message" };
  const said = toBinary(message, create(message, payload.value));
  const head: number[] = [];
  putID(head, 1, id);
  putID(head, 3, boardId);
  head.push(7 << 3, Status.REQUEST);
  putVarint(head, lengthTag(number));
  putVarint(head, said.length);
  return joined(head, said);
}

/** What naming its predecessor adds to an encoded frame. */
export const afterBytes = 38;

/** An encoded request that names its predecessor. Fields may come in any order, so it is put at the end. */
export function withAfter(body: Uint8Array, after: string): Pieces {
  if (after === "") {
    return [body];
  }
  const tail: number[] = [];
  putID(tail, 8, after);
  return [body, new Uint8Array(tail)];
}

function putID(out: number[], field: number, id: string): void {
  if (id !== "") {
    out.push(lengthTag(field), id.length);
    for (let i = 0; i < id.length; i++) {
      out.push(id.charCodeAt(i));
    }
  }
}

function putVarint(out: number[], n: number): void {
  for (; n > 0x7f; n >>>= 7) {
    out.push((n & 0x7f) | 0x80);
  }
  out.push(n);
}

function joined(a: ArrayLike<number>, b: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** The frame that bytes say. It throws where they say none. */
export function decodeFrame(bytes: Uint8Array): Frame {
  return decodeUsual(bytes) ?? fromBinary(FrameSchema, bytes);
}
