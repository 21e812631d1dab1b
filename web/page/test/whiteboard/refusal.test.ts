import { ClosedError, ErrorCode, FrameError, OutboxFullError } from "@collaboard/sdk";
import { describe, expect, test } from "vitest";

import { element } from "./elements.js";
import { opsOf, setup } from "./two-people.js";

describe("a change that is refused", () => {
  test("goes, and what is confirmed shows", async () => {
    const { log, ada, bob } = await setup("a");
    ada.edit("a", { opacity: 1 });
    bob.edit("a", { opacity: 2 });
    await log.refuse();
    await log.accept();
    ada.paint();
    expect(ada.get("a").opacity).toBe(2);
    expect(ada.board.submitted).toHaveLength(1);
  });

  test("takes a new element away", async () => {
    const { log, ada } = await setup("a");
    ada.draw("b");
    await log.refuse();
    ada.paint();
    expect(ada.stack()).toEqual(["a"]);
    ada.change();
    expect(ada.board.submitted).toHaveLength(1);
  });

  test("brings back what was deleted", async () => {
    const { log, ada } = await setup("a");
    ada.edit("a", { isDeleted: true });
    await log.refuse();
    ada.paint();
    expect(ada.stack()).toEqual(["a"]);
  });

  test("for lack of room does not hide what others change beside it", async () => {
    const { log, ada, bob } = await setup("a");
    ada.board.fails = new OutboxFullError();
    ada.edit("a", { opacity: 1 });
    bob.edit("a", { opacity: 2, strokeColor: "#00ff00" });
    await log.accept();
    ada.paint();
    expect(ada.get("a")).toMatchObject({ opacity: 1, strokeColor: "#00ff00" });
  });

  test("here is told in plain words", async () => {
    const { ada } = await setup("a");
    ada.board.fails = new FrameError(ada.board.id, "", {
      $typeName: "collaboard.v1.Error", code: ErrorCode.TOO_LARGE, message: "1048577 bytes", retryable: false, fieldViolations: [],
    });
    ada.edit("a", { opacity: 1 });
    ada.board.fails = new ClosedError();
    ada.edit("a", { opacity: 2 });
    expect(ada.errors).toEqual([
      "A change was not saved, and is undone. It is too large.",
      "A change is not saved yet. This page is not connected any more: load it again.",
    ]);
  });

  test("for lack of room is made later", async () => {
    const { log, ada, bob } = await setup("a");
    ada.board.fails = new OutboxFullError();
    ada.edit("a", { opacity: 1 });
    expect([ada.board.submitted, ada.errors, ada.saving.at(-1)]).toEqual([[], [], true]);
    ada.board.fails = undefined;
    ada.pass(900);
    expect(ada.board.submitted).toEqual([]);
    ada.pass(200);
    await log.accept();
    bob.paint();
    expect([bob.get("a").opacity, ada.saving.at(-1)]).toEqual([1, false]);
  });
});

describe("much at once", () => {
  test("is divided into batches that the server takes", async () => {
    const { log, ada, bob } = await setup();
    ada.add(...Array.from({ length: 2500 }, (_, i) => element("rectangle", { id: `r${i}`, index: `b${String(i).padStart(5, "0")}1` })));
    expect(ada.board.submitted.map((frame) => opsOf(frame).length)).toEqual([1000, 1000, 500]);
    await log.accept();
    bob.paint();
    expect(bob.seen()).toEqual(ada.seen());
  });

  test("a stroke that is too large is made simpler for everybody, and the person is told", async () => {
    const { log, ada, bob } = await setup();
    ada.limits = { frameBytes: 1 << 20, objectBytes: 40 << 10, ops: 1000 };
    const points = Array.from({ length: 3000 }, (_, i) => [i, i % 7]);
    ada.add(element("freedraw", { id: "s", points, pressures: points.map(() => 0.5), width: 2999, height: 6 }));
    expect(ada.errors).toHaveLength(1);
    await log.accept();
    ada.paint();
    bob.paint();
    expect(bob.seen()).toEqual(ada.seen());
    expect(ada.get("s").points).not.toHaveLength(3000);
    expect((ada.get("s").points as unknown[]).at(-1)).toEqual(points.at(-1));
  });

  test("what is too large and no stroke is refused, and said so", async () => {
    const { ada } = await setup();
    ada.limits = { frameBytes: 1 << 20, objectBytes: 40 << 10, ops: 1000 };
    ada.add(element("text", { text: "x".repeat(50_000), originalText: "x".repeat(50_000) }));
    expect([ada.errors.length, ada.board.submitted, ada.stack()]).toEqual([1, [], []]);
  });

  test("a text that is too large is not saved while somebody types it, and may be made shorter", async () => {
    const { log, ada } = await setup();
    ada.limits = { frameBytes: 1 << 20, objectBytes: 40 << 10, ops: 1000 };
    const words = (letters: number) => ({ text: "x".repeat(letters), originalText: "x".repeat(letters) });
    ada.list = [element("text", { id: "t", index: "a1", ...words(50_000) })];
    ada.view = { ...ada.view, editingTextElement: ada.get("t") as never };
    ada.engine.changed();
    ada.pass(3000);
    expect([ada.saving.at(-1), ada.board.submitted, ada.get("t").text]).toEqual([true, [], words(50_000).text]);
    expect(ada.errors).not.toHaveLength(0);
    ada.mutate("t", words(3000));
    ada.pass(3000);
    await log.accept();
    expect([ada.saving.at(-1), ada.board.submitted.length, ada.get("t").text]).toEqual([false, 1, words(3000).text]);
  });

  test("a ghost is bounded, and still ends where the pointer is", async () => {
    const { ada, bob } = await setup();
    const points = Array.from({ length: 20_000 }, (_, i) => [i, i]);
    const stroke = element("freedraw", { id: "s", index: "a1", points, pressures: [] });
    ada.list = [stroke, ...Array.from({ length: 2000 }, (_, i) => element("rectangle", { id: `r${i}`, index: `b${String(i).padStart(5, "0")}1` }))];
    ada.view = { ...ada.view, newElement: stroke as never };
    ada.drag([], {});
    expect(JSON.stringify(ada.board.signals.at(-1)).length).toBeLessThan(300_000);
    bob.paint();
    expect((bob.get("s").points as unknown[]).at(-1)).toEqual([19_999, 19_999]);
  });
});
