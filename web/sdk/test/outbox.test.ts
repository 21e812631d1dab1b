import { beforeEach, expect, test } from "vitest";

import { Backoff } from "../src/backoff.js";
import { Outbox, type Entry } from "../src/outbox.js";

let outbox: Outbox;

beforeEach(() => {
  outbox = new Outbox(100, 1000, () => new Backoff({ shortest: 10, longest: 10 }, () => 1));
});

function add(id: string, board = "A"): Entry {
  const none = () => {};
  const entry = {
    id, board, body: new Uint8Array(10), row: undefined, inFlight: false, ack: undefined, stored: none,
    settled: Promise.resolve(), resolve: none, reject: none,
  };
  outbox.add(entry);
  return entry;
}

/** What is sent at a time, as "id" or "id after predecessor". */
function send(now = 0, limit = 100, limitBytes = 1000): string[] {
  const { batch } = outbox.send(now, limit, limitBytes);
  return batch.map(({ entry, after }) => (after === "" ? entry.id : `${entry.id} after ${after}`));
}

test("each frame names the one before while that is in flight", () => {
  const [a, b] = [add("a"), add("b")];
  expect(send()).toEqual(["a", "b after a"]);
  outbox.answered(a, 0);
  add("c");
  expect(send()).toEqual(["c after b"]);
  outbox.answered(b, 0);
  outbox.answered(outbox.pending.get("c")!, 0);
  add("d");
  expect(send()).toEqual(["d"]);
});

test("after a refusal everything in flight is awaited, then all is sent again, in order", () => {
  const [a, b, c] = [add("a"), add("b"), add("c")];
  expect(send()).toEqual(["a", "b after a", "c after b"]);
  outbox.answered(a, 0);
  outbox.refusedForNow(b, 100, 0);
  add("d");
  expect(send()).toEqual([]); // c is in flight
  outbox.refusedForNow(c, 0, 50);
  expect(outbox.send(159, 100, 1000)).toEqual({ batch: [], next: 160 }); // 50 + 100 + the pause
  expect(send(160)).toEqual(["b", "c after b", "d after c"]);
});

test("a wait that was asked for outlives the connection", () => {
  const a = add("a");
  send();
  outbox.refusedForNow(a, 100, 0);
  outbox.disconnected();
  expect(send(109)).toEqual([]);
  expect(send(110)).toEqual(["a"]);
});

test("boards take turns, within the window", () => {
  ["a1", "a2", "a3"].forEach((id) => add(id));
  const b = add("b1", "B");
  expect(send(0, 3)).toEqual(["a1", "b1", "a2 after a1"]);
  expect(send(0, 3)).toEqual([]);
  outbox.answered(b, 0);
  expect(send(0, 100, 20)).toEqual([]); // bytes
  expect(send(0, 100, 30)).toEqual(["a3 after a2"]);
});

test("what was left by others comes before what was not sent yet", () => {
  add("a");
  send();
  const left = ["x", "y"].map((id) => add(id, "other"));
  const next = add("b");
  outbox = new Outbox(100, 1000, outbox.newBackoff);
  outbox.add(next);
  outbox.adopt(left.map((entry) => ({ ...entry, board: "A" })));
  expect(send()).toEqual(["x", "y after x", "b after y"]);
});

test("one frame always fits, and no more than there is room for", () => {
  expect(outbox.fits(5000)).toBe(true);
  add("a");
  expect(outbox.fits(990)).toBe(true);
  expect(outbox.fits(991)).toBe(false);
  outbox.finish(outbox.pending.get("a")!);
  expect(outbox.fits(5000)).toBe(true);
});
