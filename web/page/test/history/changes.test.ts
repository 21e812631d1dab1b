import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { FrameSchema } from "@collaboard/sdk";
import { expect, test } from "vitest";

import { changeOf, describe, groupsOf, objectsOf, type Change } from "../../src/history/changes.js";
import { shortOf, whenOf } from "../../src/history/words.js";

const noon = new Date(2026, 4, 4, 12);
type Payload = MessageInitShape<typeof FrameSchema>["payload"];

function frame(payload: Payload, seq = 1) {
  return create(FrameSchema, { seq: BigInt(seq), from: "ada", time: timestampFromDate(noon), payload: payload! });
}

function change(seq: number, from: string, minutes: number, more: Partial<Change> = {}): Change {
  return { seq, from, time: new Date(noon.getTime() + minutes * 60_000), added: [], changed: ["a"], deleted: [], ...more };
}

test("a frame tells what it did to objects, each once, and others are no change", () => {
  const made = (id: string) => ({ op: { case: "create", value: { object: { id, kind: "arrow" } } } }) as const;
  const set = (id: string, deleted?: boolean) => ({ op: { case: "update", value: { id, ...(deleted !== undefined && { deleted }) } } }) as const;
  const batch = frame({
    case: "objectBatch",
    value: { ops: [made("a"), set("a"), set("b"), set("b"), set("c", true), set("d", false), { op: { case: "delete", value: { id: "e" } } }] },
  });
  expect(changeOf(batch)).toEqual({ seq: 1, from: "ada", time: noon, added: ["arrow"], changed: ["b", "d"], deleted: ["c", "e"] });
  expect(objectsOf(batch)).toEqual(["a", "a", "b", "b", "c", "d", "e"]);
  expect(changeOf(frame({ case: "chatMessage", value: { text: "hi" } }))).toBeUndefined();
  expect(changeOf(frame({ case: "objectBatch", value: { ops: [set("a")], restoredSeq: 3n } }))).toMatchObject({ restored: 3 });
  expect(changeOf(frame({ case: "objectBatch", value: { ops: [set("a")], revertedSeq: 3n } }))).toMatchObject({ reverted: 3 });
});

test("a group ends with a person, a pause, a savepoint, and a restore", () => {
  const log = [
    change(1, "ada", 0), change(2, "ada", 4), change(4, "bob", 4), change(5, "ada", 5), change(6, "ada", 11), change(7, "ada", 11),
    change(8, "ada", 12), change(9, "ada", 12, { restored: 2 }), change(10, "ada", 12, { restored: 2 }), change(11, "ada", 12),
  ];
  expect(groupsOf(log, new Set([7])).map(({ first, last, count }) => [first.seq, last.seq, count]))
    .toEqual([[1, 2, 2], [4, 4, 1], [5, 5, 1], [6, 7, 2], [8, 8, 1], [9, 10, 2], [11, 11, 1]]);
  expect(groupsOf([], new Set())).toEqual([]);
});

test("a group says in words what it did, and counts an object once", () => {
  const words = (...changes: Change[]) => groupsOf(changes, new Set()).map(describe);
  expect(words(change(1, "ada", 0), change(2, "ada", 0))).toEqual(["Changed 1 object"]);
  expect(words(change(1, "ada", 0, { added: ["sticky_note"], changed: [] }))).toEqual(["Added 1 note"]);
  expect(words(change(1, "ada", 0, { added: ["arrow", "arrow"], changed: ["a", "b"], deleted: ["c"] })))
    .toEqual(["Added 2 arrows, changed 2 objects, deleted 1 object"]);
  expect(words(change(1, "ada", 0, { added: ["arrow", "text"], changed: [] }))).toEqual(["Added 2 objects"]);
  expect(words(change(1, "ada", 0, { restored: 3 }))).toEqual(["Brought back what was before"]);
  expect(words(change(1, "ada", 0, { reverted: 3 }))).toEqual(["Took a change back"]);
});

test("a moment is said as the sentence needs it", () => {
  const clock = noon.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const later = (days: number) => new Date(2026, 4, 4 + days, 18);
  expect([0, 1, 2].map((days) => whenOf(noon, later(days)))).toEqual([`at ${clock}`, `yesterday at ${clock}`, `on Monday, May 4, at ${clock}`]);
  expect([0, 1, 2].map((days) => shortOf(noon, later(days)))).toEqual([clock, `Yesterday, ${clock}`, `May 4, ${clock}`]);
});
