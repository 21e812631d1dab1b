import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";

import { decodeUsual } from "../src/decode.js";
import { afterBytes, decodeFrame, encodeRequest, withAfter, type Control, type Durable, type Ephemeral } from "../src/frames.js";
import { ErrorCode, FrameSchema, newID, propsFromJson, Status } from "../src/index.js";

function encoded(frame: MessageInitShape<typeof FrameSchema>): Uint8Array {
  return toBinary(FrameSchema, create(FrameSchema, frame));
}

const [id, parentId, boardId, epoch] = [newID(), newID(), newID(), newID()];
const time = { seconds: 1_790_000_000n, nanos: 123_456_789 };

describe("a request is written as protobuf-es does", () => {
  const payloads: (Durable | Ephemeral | Control)[] = [
    { case: "ping", value: {} },
    { case: "boardJoin", value: { position: { epoch, seq: 7n } } },
    { case: "custom", value: { type: "x", data: new Uint8Array(200) } },
    { case: "chatMessage", value: { text: "ü".repeat(10_000) } },
    { case: "objectCreate", value: { object: { id, kind: "rectangle", x: 1.5, props: propsFromJson({ a: [1, null, "b"] }) } } },
    { case: "cursorMove", value: { x: 1, y: -2 } },
  ];

  test.each(payloads)("$case", (payload) => {
    for (const ids of [{ id, boardId }, { id: "", boardId }, { id, boardId: "" }]) {
      const body = encodeRequest(ids.id, ids.boardId, payload);
      expect(body).toEqual(encoded({ ...ids, status: Status.REQUEST, payload }));
      const after = Uint8Array.from(withAfter(body, parentId).flatMap((piece) => [...piece]));
      expect(after).toHaveLength(body.length + afterBytes);
      expect(withAfter(body, "")).toEqual([body]);
      expect(fromBinary(FrameSchema, after)).toEqual({ ...fromBinary(FrameSchema, body), afterId: parentId });
    }
  });
});

const usual: [string, MessageInitShape<typeof FrameSchema>][] = [
  ["nothing", {}],
  ["all that is in an envelope", {
    id, parentId, boardId, seq: 5n, time, from: "ü", status: Status.EVENT, afterId: epoch, connectionId: "c",
  }],
  ["an ack", { parentId, boardId, seq: 2n ** 48n, time, status: Status.DONE, payload: { case: "ack", value: { epoch } } }],
  ["an ack of a duplicate", { parentId, payload: { case: "ack", value: { epoch, duplicate: true } } }],
  ["an error", { parentId, status: Status.ERROR, payload: { case: "error", value: { code: ErrorCode.TOO_LARGE, retryAfter: time } } }],
  ["an event", {
    id, seq: 300n, time, from: "x".repeat(70), payload: { case: "custom", value: { type: "t", data: new Uint8Array(20) } },
    chain: new Uint8Array(32).fill(7),
  }],
  ["a time after 9999", { time: { seconds: 253_402_300_800n, nanos: 0 } }],
];

const rare: [string, Uint8Array][] = [
  ["a seq beyond 2^48", encoded({ seq: 2n ** 64n - 1n })],
  ["a time before 1970", encoded({ time: { seconds: -1n, nanos: 0 } })],
  ["a status that is not known", encoded({ status: -1 as Status })],
  ["a field that is not known", Uint8Array.of(0xba, 0x06, 1, 65)],
  ["one in an ack", Uint8Array.of(0xe2, 0x03, 2, 0x18, 1)],
  ["one in a time", Uint8Array.of(0x2a, 2, 0x18, 1)],
  ["an ack in pieces", Uint8Array.of(0xe2, 0x03, 2, 0x10, 1, 0xe2, 0x03, 3, 0x0a, 1, 65)],
  ["a time in pieces", Uint8Array.of(0x2a, 2, 0x08, 1, 0x2a, 2, 0x10, 1)],
  ["two payloads", Uint8Array.of(0xe2, 0x03, 0, 0x82, 0x04, 0)],
  ["a yes that is not 1", Uint8Array.of(0xe2, 0x03, 2, 0x10, 2)],
];

describe("a frame is read as protobuf-es does", () => {
  test.each(usual)("%s", (_, frame) => {
    const bytes = encoded(frame);
    expect(decodeUsual(bytes)).toEqual(fromBinary(FrameSchema, bytes));
  });

  test.each(rare)("%s", (_, bytes) => {
    expect(decodeUsual(bytes)).toBeUndefined();
    expect(decodeFrame(bytes)).toEqual(fromBinary(FrameSchema, bytes));
  });

  test("whatever happened to it", () => {
    const outcome = (read: () => unknown) => {
      try {
        return { read: read() };
      } catch (error) {
        return { error: String(error) };
      }
    };
    for (const [name, frame] of usual) {
      const bytes = encoded(frame);
      for (let at = 0; at < bytes.length; at++) {
        const others = Array.from({ length: 8 }, (_, bit) => bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte)));
        for (const other of [bytes.subarray(0, at), ...others]) {
          expect(outcome(() => decodeFrame(other)), `${name}, byte ${at}`).toEqual(outcome(() => fromBinary(FrameSchema, other)));
        }
      }
    }
  });
});
