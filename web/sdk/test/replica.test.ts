import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test } from "vitest";

import { FrameSchema, propsFromJson, propsToJson, Replica, Status } from "../src/index.js";

type Payload = MessageInitShape<typeof FrameSchema>["payload"];

let replica: Replica;
let seq: bigint;

beforeEach(() => {
  replica = new Replica();
  seq = 0n;
  apply({ case: "objectCreate", value: { object: object("a", "V1") } });
});

function object(id: string, zIndex: string) {
  return { id, kind: "note", zIndex, version: 1n, x: 1, y: 2, props: propsFromJson({ text: "hi", size: 3 }) };
}

function apply(payload: Payload, status = Status.EVENT): void {
  seq++;
  replica.apply(create(FrameSchema, { seq, from: "ada", status, payload: payload! }));
}

test("an update sets what it names, and each key of props on its own", () => {
  const before = replica.object("a");
  const props = propsFromJson({ size: null, bold: true });
  apply({ case: "objectUpdate", value: { id: "a", x: -0, props, version: 2n } });
  expect(replica.object("a")).toMatchObject({ x: 0, y: 2, kind: "note", version: 2n, updatedSeq: 2n, updatedBy: "ada" });
  expect(propsToJson(replica.object("a")!.props)).toEqual({ text: "hi", bold: true });
  expect(before).toMatchObject({ x: 1, version: 1n }); // objects never change
});

test("a deleted object is a tombstone, keeps its content and its z-index, and comes back", () => {
  apply({ case: "objectDelete", value: { id: "a", version: 2n } });
  expect(replica.stack()).toEqual([]);
  expect(replica.object("a")).toMatchObject({ deleted: true, version: 2n, x: 1 });
  apply({ case: "objectCreate", value: { object: object("b", "V1") } });
  expect(replica.object("b")).toBeUndefined();
  apply({ case: "objectUpdate", value: { id: "a", deleted: false, version: 3n } });
  expect(replica.stack().map((o) => o.id)).toEqual(["a"]);
});

test("the stack is in the order of z-indexes, as bytes", () => {
  apply({ case: "objectCreate", value: { object: object("b", "a") } });
  apply({ case: "objectCreate", value: { object: object("c", "Z") } });
  expect(replica.stack().map((o) => o.id)).toEqual(["a", "c", "b"]);
  expect(replica.stack()).toBe(replica.stack());
  apply({ case: "objectUpdate", value: { id: "a", zIndex: "b", version: 2n } });
  expect(replica.stack().map((o) => o.id)).toEqual(["c", "b", "a"]);
});

test("a batch swaps z-indexes by way of a third", () => {
  apply({ case: "objectCreate", value: { object: object("b", "V2") } });
  const op = (id: string, zIndex: string, version: bigint) => ({ op: { case: "update", value: { id, zIndex, version } } }) as const;
  apply({ case: "objectBatch", value: { ops: [op("a", "W", 2n), op("b", "V1", 2n), op("a", "V2", 3n)] } });
  expect(replica.stack().map((o) => [o.id, o.zIndex])).toEqual([["b", "V1"], ["a", "V2"]]);
  apply({ case: "objectCreate", value: { object: object("c", "W") } });
  expect(replica.object("c")).toBeDefined();
});

describe("what makes no sense moves seq, and changes nothing else", () => {
  const nonsense: [string, Payload][] = [
    ["an object that exists", { case: "objectCreate", value: { object: { ...object("a", "V3"), x: 9 } } }],
    ["a taken z-index", { case: "objectCreate", value: { object: object("b", "V1") } }],
    ["a version that does not follow", { case: "objectUpdate", value: { id: "a", x: 9, version: 3n } }],
    ["an object that is not there", { case: "objectUpdate", value: { id: "z", x: 9, version: 1n } }],
    ["a batch of which one op fails", { case: "objectBatch", value: { ops: [
      { op: { case: "update", value: { id: "a", x: 9, version: 2n } } },
      { op: { case: "delete", value: { id: "z", version: 1n } } },
    ] } }],
  ];
  test.each(nonsense)("%s", (_, payload) => {
    const before = [...replica.objects()];
    apply(payload);
    expect([...replica.objects()]).toEqual(before);
    expect(replica.seq).toBe(2);
  });

  test("a frame that is no event, or old", () => {
    apply({ case: "objectDelete", value: { id: "a", version: 2n } }, Status.REQUEST);
    seq = 0n;
    apply({ case: "objectDelete", value: { id: "a", version: 2n } });
    expect(replica.object("a")?.deleted).toBe(false);
  });
});
