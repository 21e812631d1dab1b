import { create } from "@bufbuild/protobuf";
import { FrameSchema, OutboxFullError, type Durable } from "@collaboard/sdk";
import { describe, expect, test } from "vitest";

import { objectID } from "../../src/whiteboard/names.js";
import { drawing, element } from "./elements.js";
import { Log, settled } from "./log.js";
import { Person } from "./person.js";

/** Two people at a board on which these were drawn. */
async function setup(...ids: string[]): Promise<{ log: Log; ada: Person; bob: Person }> {
  const log = new Log();
  const ada = new Person(log, "ada");
  ids.forEach((id) => ada.draw(id));
  await log.accept();
  const bob = new Person(log, "bob");
  ada.paint();
  ada.board.submitted.length = 0;
  return { log, ada, bob };
}

/** The ops of a frame: what each does, and to which element. */
function opsOf(frame: Durable | undefined): string[] {
  switch (frame?.case) {
    case "objectBatch":
      return (frame.value.ops ?? []).map(({ op }) => op?.case ?? "");
    default:
      return frame === undefined ? [] : [frame.case];
  }
}

describe("what one does, the others see", () => {
  test("a drawing with everything in it", async () => {
    const { log, ada, bob } = await setup();
    ada.add(...drawing());
    expect(ada.board.submitted.map(opsOf)).toEqual([drawing().map(() => "create")]);
    await log.accept();
    bob.paint();
    expect(bob.seen()).toEqual(ada.seen());
    const late = new Person(log, "cy");
    expect(late.seen()).toEqual(ada.seen());
    expect(late.get("box").boundElements).toEqual(expect.arrayContaining([
      { id: "label", type: "text" }, { id: "arrow", type: "arrow" }, { id: "elbow", type: "arrow" },
    ]));
    expect(late.get("diamond").boundElements).toEqual([{ id: "arrow", type: "arrow" }]);
  });

  test("one change is a frame of its own, with nothing but what has changed", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.edit("a", { strokeColor: "#ff0000" });
    expect(ada.board.submitted).toMatchObject([{ case: "objectUpdate", value: { id: objectID("a") } }]);
    expect(Object.keys((ada.board.submitted[0]!.value as { props: object }).props)).toEqual(["strokeColor"]);
    await log.accept();
    bob.paint();
    expect(bob.get("a").strokeColor).toBe("#ff0000");
    expect(bob.board.submitted).toEqual([]); // no echo
  });

  test("what is applied has a newer version and another nonce, and is the sender's business only once", async () => {
    const { log, ada, bob } = await setup("a");
    const [version, nonce] = [bob.get("a").version, bob.get("a").versionNonce];
    ada.edit("a", { opacity: 10 });
    const own = ada.shows;
    await log.accept();
    bob.paint();
    ada.paint();
    expect(bob.get("a").version).toBe(version + 1);
    expect(bob.get("a").versionNonce).not.toBe(nonce);
    expect(ada.shows).toBe(own);
  });

  test("the scene is changed at most once a paint", async () => {
    const { log, ada, bob } = await setup("a", "b");
    const before = bob.shows;
    ada.edit("a", { opacity: 10 });
    ada.edit("b", { opacity: 20 });
    ada.edit("a", { opacity: 30 });
    await log.accept();
    bob.paint();
    expect(bob.shows).toBe(before + 1);
    expect([bob.get("a").opacity, bob.get("b").opacity]).toEqual([30, 20]);
  });

  test("an arrow that is bound, and unbound, is so at the other end too", async () => {
    const { log, ada, bob } = await setup("box");
    ada.add(element("arrow", { id: "arrow", index: "a5", endBinding: { elementId: "box", focus: 0, gap: 1 } }));
    await log.accept();
    bob.paint();
    expect(bob.get("box").boundElements).toEqual([{ id: "arrow", type: "arrow" }]);
    expect(bob.stack()).toEqual(["box", "arrow"]);
    ada.edit("arrow", { endBinding: null });
    await log.accept();
    bob.paint();
    expect(bob.get("box").boundElements).toEqual([]);
  });

  test("an arrow may come before what it is bound to", async () => {
    const { log, ada, bob } = await setup();
    ada.add(element("arrow", { id: "arrow", index: "a1", endBinding: { elementId: "box", focus: 0, gap: 1 } }));
    await log.accept();
    bob.paint();
    ada.draw("box", { index: "a2" });
    await log.accept();
    bob.paint();
    expect(bob.get("box").boundElements).toEqual([{ id: "arrow", type: "arrow" }]);
  });

  test("kinds that Excalidraw does not know do not disturb it", async () => {
    const { log, ada, bob } = await setup("a");
    bob.board.submit({ case: "objectCreate", value: { object: { id: objectID("x"), kind: "gantt", zIndex: "a7" } } });
    await log.accept();
    ada.paint();
    expect(ada.stack()).toEqual(["a"]);
  });
});

describe("two people who change the same element", () => {
  test("both win where they change different things", async () => {
    const { log, ada, bob } = await setup("a");
    ada.edit("a", { strokeColor: "#ff0000" });
    bob.edit("a", { x: 500 });
    await log.accept();
    ada.paint();
    bob.paint();
    for (const person of [ada, bob]) {
      expect(person.get("a")).toMatchObject({ strokeColor: "#ff0000", x: 500 });
    }
  });

  test("the later one wins where they change the same, and the earlier one sees its own until then", async () => {
    const { log, ada, bob } = await setup("a");
    ada.edit("a", { opacity: 10 });
    bob.edit("a", { opacity: 20 });
    await log.accept(1);
    ada.paint();
    bob.paint();
    expect([ada.get("a").opacity, bob.get("a").opacity]).toEqual([10, 20]);
    await log.accept();
    ada.paint();
    bob.paint();
    expect([ada.get("a").opacity, bob.get("a").opacity]).toEqual([20, 20]);
  });

  test("do not make a mixture of what belongs together", async () => {
    const { log, ada, bob } = await setup("a");
    ada.edit("a", { x: -90, width: 200 });
    bob.edit("a", { y: -30, height: 100 });
    await log.accept();
    ada.paint();
    bob.paint();
    expect(ada.seen()).toEqual(bob.seen());
    expect(ada.get("a")).toMatchObject({ x: 10, width: 100, y: -30, height: 100 });
  });

  test("undo takes back what one did oneself", async () => {
    const { log, ada, bob } = await setup("a");
    ada.edit("a", { x: 300, strokeColor: "#ff0000" });
    await log.accept();
    bob.paint();
    bob.edit("a", { strokeColor: "#00ff00", opacity: 50 });
    await log.accept();
    ada.paint();
    ada.edit("a", { x: 10 }); // as Excalidraw's history does it: the colour is not any more what Ada had made it
    await log.accept();
    bob.paint();
    expect(bob.get("a")).toMatchObject({ x: 10, strokeColor: "#00ff00", opacity: 50 });
  });

  test("a delete wins over a change, whoever was first", async () => {
    for (const first of ["delete", "change"]) {
      const { log, ada, bob } = await setup("a");
      const steps = { delete: () => ada.edit("a", { isDeleted: true }), change: () => bob.edit("a", { opacity: 5 }) };
      steps[first as keyof typeof steps]();
      steps[first === "delete" ? "change" : "delete"]();
      await log.accept();
      ada.paint();
      bob.paint();
      expect([ada.stack(), bob.stack()], first).toEqual([[], []]);
    }
  });

  test("undo of a delete brings back what others made of it meanwhile", async () => {
    const { log, ada, bob } = await setup("a");
    bob.edit("a", { opacity: 5 });
    ada.edit("a", { isDeleted: true });
    await log.accept();
    ada.paint();
    bob.paint();
    ada.edit("a", { isDeleted: false });
    expect(ada.board.submitted.at(-1)).toMatchObject({ case: "objectUpdate", value: { deleted: false } });
    await log.accept();
    ada.paint();
    bob.paint();
    expect([ada.stack(), bob.stack()]).toEqual([["a"], ["a"]]);
    expect(ada.get("a").opacity).toBe(5);
  });
});

describe("the order of the stack", () => {
  test("is the server's where two put something in one place", async () => {
    const { log, ada, bob } = await setup("a");
    ada.draw("ada", { index: "a1" });
    bob.draw("bob", { index: "a1" });
    await log.accept();
    ada.paint();
    bob.paint();
    expect(ada.stack()).toEqual(["a", "ada", "bob"]);
    expect(bob.stack()).toEqual(["a", "ada", "bob"]);
    expect([ada, bob].flatMap((p) => p.board.submitted).filter((f) => f.case !== "objectCreate")).toEqual([]);
  });

  test("that Excalidraw has repaired is not sent, and not asked for again", async () => {
    const { log, ada, bob } = await setup("a");
    bob.draw("bob", { index: "a1" }); // not in the log yet
    ada.draw("ada", { index: "a1" });
    await log.accept(0);
    const [shows, frames] = [bob.shows, bob.board.submitted.length];
    log.waiting.reverse(); // Ada's first
    await log.accept(1);
    bob.paint();
    expect(bob.shows).toBe(shows + 1);
    expect(new Set(bob.list.map((e) => e.index)).size).toBe(3);
    bob.engine.reload();
    bob.paint();
    expect(bob.shows).toBe(shows + 1);
    expect(bob.board.submitted.length).toBe(frames);
    await log.accept();
    bob.paint();
    ada.paint();
    expect(bob.stack()).toEqual(ada.stack());
  });

  test("is the server's also where somebody's work that came to nothing had been in the place", async () => {
    const { log, ada, bob } = await setup("a");
    bob.list = [...bob.list, element("rectangle", { id: "-nothing", index: "a1", isDeleted: true })];
    bob.change();
    for (const [id, index] of [["c", "a1"], ["d", "a2"], ["e", "a1V"]] as const) {
      ada.draw(id, { index });
      await log.accept();
      bob.paint();
    }
    for (const id of bob.stack()) {
      expect(bob.get(id).index, id).toBe(bob.board.replica.object(objectID(id))!.zIndex);
    }
    expect(bob.stack()).toEqual(["a", "c", "e", "d"]);
    expect(bob.board.submitted).toEqual([]);
  });

  test("is the server's again as soon as it has said where one's own goes", async () => {
    const { log, ada, bob } = await setup("a");
    bob.draw("bob", { index: "a1" });
    ada.draw("ada", { index: "a1" });
    log.waiting.reverse();
    await log.accept(1);
    bob.paint(); // Bob's has made way
    expect(bob.stack()).toEqual(["a", "ada", "bob"]);
    ada.edit("ada", { index: "a5" });
    log.waiting.reverse();
    await log.accept(1);
    bob.paint(); // now there is room
    expect([bob.get("bob").index, bob.stack()]).toEqual(["a1", ["a", "bob", "ada"]]);
    await log.accept();
    [ada, bob].forEach((person) => person.paint());
    expect(bob.board.replica.object(objectID("bob"))!.zIndex).toBe("a1");
    for (const person of [ada, bob]) {
      expect(person.stack()).toEqual(["a", "bob", "ada"]);
      expect(person.list.map((e) => e.index)).toEqual(["a0", "a1", "a5"]);
    }
  });

  test("is changed by who moves something", async () => {
    const { log, ada, bob } = await setup("a", "b", "c");
    ada.edit("a", { index: "a9" });
    ada.list.sort((x, y) => (x.index! < y.index! ? -1 : 1));
    expect(ada.board.submitted).toMatchObject([{ case: "objectUpdate", value: { zIndex: "a9", props: {} } }]);
    await log.accept();
    bob.paint();
    expect(bob.stack()).toEqual(["b", "c", "a"]);
  });
});

describe("a gesture", () => {
  test("is one batch when it ends, and a ghost until then", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.drag(["a", "b"], { x: 100 });
    ada.drag(["a", "b"], { x: 200 });
    bob.paint();
    expect([bob.get("a").x, bob.get("b").x]).toEqual([200, 200]);
    expect(ada.board.submitted).toEqual([]);
    expect(ada.saving).toEqual(expect.arrayContaining([true]));
    ada.release();
    expect(ada.board.submitted.map(opsOf)).toEqual([["update", "update"]]);
    await log.accept();
    bob.paint();
    expect(bob.get("a").x).toBe(200);
    expect(ada.saving.at(-1)).toBe(false);
  });

  test("is shown at most twenty times a second", async () => {
    const { ada } = await setup("a");
    new Person(ada.board.log, "cy");
    for (let i = 0; i < 100; i++) {
      ada.drag(["a"], { x: i });
      ada.now += 10 - 60; // a hundred times a second
    }
    expect(ada.board.signals.length).toBeLessThanOrEqual(21);
    expect(ada.board.signals.length).toBeGreaterThan(15);
  });

  test("of a new element appears while it is drawn, and stays where its event comes late", async () => {
    const { log, ada, bob } = await setup("a");
    const stroke = element("freedraw", { id: "stroke", index: "a1" });
    ada.list = [...ada.list, stroke];
    ada.view = { ...ada.view, newElement: stroke as never };
    ada.drag([], {});
    bob.paint();
    expect(bob.stack()).toEqual(["a", "stroke"]);
    ada.mutate("stroke", { points: [[0, 0], [5, 5], [9, 9], [12, 12]] });
    ada.drag([], {});
    bob.paint();
    expect(bob.get("stroke").points).toHaveLength(4);
    ada.release();
    bob.pass(500);
    expect(bob.stack()).toEqual(["a", "stroke"]);
    await log.accept();
    bob.paint();
    expect(bob.seen()).toEqual(ada.seen());
    expect(ada.board.signals.at(-1)).toEqual({ case: "objectDrag", value: { ops: [] } });
  });

  test("leaves nothing behind when it comes to nothing, or its maker goes", async () => {
    for (const end of ["silence", "leave"]) {
      const { log, ada, bob } = await setup("a");
      const stroke = element("freedraw", { id: "stroke", index: "a1" });
      ada.list = [...ada.list, stroke];
      ada.view = { ...ada.view, newElement: stroke as never };
      ada.drag([], {});
      ada.mutate("a", { x: 400 });
      ada.drag([], {});
      bob.paint();
      expect([bob.stack(), bob.get("a").x]).toEqual([["a", "stroke"], 400]);
      if (end === "leave") {
        log.leave(ada.board);
        bob.paint();
      } else {
        bob.pass(2900);
        expect(bob.stack()).toEqual(["a", "stroke"]);
        bob.pass(1200);
      }
      expect([bob.stack(), bob.get("a").x], end).toEqual([["a"], 10]);
      expect(bob.board.submitted, end).toEqual([]);
    }
  });

  test("that the other changes something of is not torn, and both win by property", async () => {
    const { log, ada, bob } = await setup("a");
    ada.drag(["a"], { x: 100 });
    const held = ada.get("a");
    bob.edit("a", { x: -1, strokeColor: "#0000ff" });
    await log.accept();
    ada.paint();
    expect(ada.get("a")).toBe(held);
    expect(held).toMatchObject({ x: 100, strokeColor: "#1e1e1e" });
    ada.drag(["a"], { x: 200 });
    expect(ada.get("a")).toBe(held);
    ada.release();
    expect(ada.get("a")).toMatchObject({ x: 200, strokeColor: "#0000ff" });
    await log.accept();
    bob.paint();
    expect(bob.seen()).toEqual(ada.seen());
  });

  test("on what moves along is not torn either", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.drag(["a"], { x: 100 });
    const along = ada.get("b"); // an arrow, say, that is bound to what is dragged
    ada.mutate("b", { x: 100 });
    ada.engine.changed();
    bob.edit("b", { x: -1, opacity: 9 });
    await log.accept();
    ada.paint();
    expect(ada.get("b")).toBe(along);
    ada.release();
    expect(ada.get("b")).toMatchObject({ x: 100, opacity: 9 });
  });

  test("does not stop what others do elsewhere", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.drag(["a"], { x: 100 });
    bob.edit("b", { x: 77 });
    await log.accept();
    ada.paint();
    expect(ada.get("b").x).toBe(77);
  });

  test("on what somebody deletes ends with the delete", async () => {
    const { log, ada, bob } = await setup("a");
    ada.drag(["a"], { x: 100 });
    bob.edit("a", { isDeleted: true });
    await log.accept();
    ada.paint();
    expect(ada.stack()).toEqual(["a"]);
    ada.release();
    await log.accept();
    bob.paint();
    expect([ada.stack(), bob.stack()]).toEqual([[], []]);
  });

  test("holds what Excalidraw has a hold of, and an arrow that is bound to it does not loosen that", async () => {
    const { log, ada, bob } = await setup("a");
    const held = ada.get("a");
    for (const hold of ["newElement", "resizingElement", "multiElement", "editingTextElement"]) {
      ada.view = { ...ada.view, [hold]: held };
      bob.edit("a", { opacity: bob.get("a").opacity - 1 });
      bob.add(element("arrow", { id: `arrow-${hold}`, index: `b0${hold.length}`, endBinding: { elementId: "a", focus: 0, gap: 1 } }));
      await log.accept();
      ada.paint();
      expect(ada.get("a"), hold).toBe(held);
      ada.view = { ...ada.view, [hold]: null };
    }
    expect(held.boundElements).toHaveLength(4);
    ada.change();
    expect(ada.get("a").opacity).toBe(96);
  });

  test("of one who does not know of the element makes no element of a ghost", async () => {
    const { log, ada, bob } = await setup();
    const stroke = element("freedraw", { id: "stroke", index: "a1" });
    ada.list = [stroke];
    ada.view = { ...ada.view, newElement: stroke as never };
    ada.drag([], {});
    bob.paint();
    bob.edit("stroke", { strokeColor: "#ff0000" });
    expect(bob.board.submitted).toEqual([]);
    ada.release();
    await log.accept();
    bob.change();
    await log.accept();
    ada.paint();
    expect(ada.get("stroke").strokeColor).toBe("#ff0000");
  });
});

describe("a text that is being edited", () => {
  test("is committed every few seconds, and not replaced", async () => {
    const { log, ada, bob } = await setup();
    const text = element("text", { id: "t", index: "a1", text: "h", originalText: "h" });
    ada.list = [text];
    ada.view = { ...ada.view, editingTextElement: text as never };
    ada.engine.changed();
    ada.now += 3000;
    ada.paint();
    expect(ada.board.submitted.map(opsOf)).toEqual([["objectCreate"]]);
    for (const letters of ["he", "hel", "hell", "hello"]) {
      ada.mutate("t", { text: letters, originalText: letters });
      ada.pass(100);
    }
    expect(ada.board.submitted).toHaveLength(1);
    bob.paint();
    expect(bob.get("t").text).toBe("hello"); // as a ghost
    ada.pass(2500);
    expect(ada.board.submitted.map(opsOf)).toEqual([["objectCreate"], ["objectUpdate"]]);
    await log.accept();
    ada.paint();
    expect(ada.get("t")).toBe(text);
  });

  test("is nothing before it has a word", async () => {
    const { ada } = await setup();
    const text = element("text", { id: "t", index: "a1", text: "", originalText: "" });
    ada.list = [text];
    ada.view = { ...ada.view, editingTextElement: text as never };
    ada.pass(5000);
    expect([ada.board.submitted, ada.board.signals]).toEqual([[], []]);
    ada.view = { ...ada.view, editingTextElement: null };
    ada.mutate("t", { isDeleted: true });
    ada.pass(5000);
    expect([ada.board.submitted, ada.saving]).toEqual([[], []]);
  });

  test("is gone where undo has taken all of it back before it was sent", async () => {
    const { log, ada, bob } = await setup("a");
    const text = element("text", { id: "t", index: "a1", text: "", originalText: "" });
    ada.list = [...ada.list, text];
    ada.view = { ...ada.view, editingTextElement: text as never };
    ada.pass(100);
    ada.mutate("t", { text: "h", originalText: "h" });
    ada.pass(100);
    expect(ada.saving.at(-1)).toBe(true);
    ada.mutate("t", { text: "", originalText: "" });
    ada.view = { ...ada.view, editingTextElement: null };
    ada.pass(5000);
    expect([ada.board.submitted, ada.saving.at(-1)]).toEqual([[], false]);
    expect([ada.stack(), bob.stack()]).toEqual([["a"], ["a"]]);
    ada.add(element("text", { id: "t", index: "a1", text: "h", originalText: "h" })); // redo
    await log.accept();
    bob.paint();
    expect(bob.stack()).toEqual(["a", "t"]);
  });
});

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

test("what a page before this one had submitted is shown until it is in the log, or refused", async () => {
  const { log, ada } = await setup("a");
  ada.draw("b");
  ada.edit("b", { x: 77 });
  ada.edit("a", { isDeleted: true });
  const ends: (() => void)[] = [];
  const left = log.waiting.splice(0).map(({ payload }) => {
    const op = { case: payload.case, value: payload.value };
    return {
      id: "", settled: new Promise<void>((resolve) => ends.push(resolve)),
      payload: create(FrameSchema, { payload: op as Durable }).payload,
    };
  });
  const again = new Person(log, "again", left);
  expect([again.stack(), again.get("b").x]).toEqual([["b"], 77]);
  expect(again.board.submitted).toEqual([]);
  ends.forEach((end) => end()); // and nothing came into the log
  await settled();
  again.paint();
  expect(again.stack()).toEqual(["a"]);
});

test("what a page before this one had submitted does not hide what the log has of it by now", async () => {
  const { log, ada, bob } = await setup();
  ada.draw("b");
  const payload = log.waiting[0]!.payload;
  await log.accept();
  bob.paint();
  bob.edit("b", { opacity: 3 });
  await log.accept();
  const left = { id: "", settled: new Promise<void>(() => {}), payload: create(FrameSchema, { payload }).payload };
  expect(new Person(log, "again", [left]).get("b").opacity).toBe(3);
});

describe("the whole scene", () => {
  test("that is opened from a file takes the place of what was there", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.list = [element("ellipse", { id: "new", index: "a0" }), { ...ada.get("b"), opacity: 3, versionNonce: 5 } as never];
    ada.change();
    await log.accept();
    bob.paint();
    expect(bob.stack().sort()).toEqual(["b", "new"]);
    expect(bob.get("b").opacity).toBe(3);
    expect(new Person(log, "cy").stack().sort()).toEqual(["b", "new"]);
  });

  test("brings back what was deleted before, where the file has it", async () => {
    const { log, ada, bob } = await setup("a");
    const file = { ...ada.get("a") };
    bob.edit("a", { isDeleted: true, });
    await log.accept();
    const cy = new Person(log, "cy");
    cy.add({ ...file, opacity: 44 } as never);
    await log.accept();
    ada.paint();
    expect(ada.get("a")).toMatchObject({ isDeleted: false, opacity: 44 });
  });

  test("that Excalidraw makes anew deletes nothing", async () => {
    const { log, ada, bob } = await setup("a", "b");
    ada.list = [];
    ada.change();
    await log.accept();
    bob.paint();
    expect([ada.stack(), bob.stack(), ada.board.submitted]).toEqual([["a", "b"], ["a", "b"], []]);
  });

  test("is built anew where the log goes on elsewhere, but for what is unsent and not acked", async () => {
    const { log, ada } = await setup("a", "b");
    ada.draw("acked-later");
    ada.drag(["b"], { x: 321 });
    ada.board.restart(log.frames.slice(0, 2));
    ada.paint();
    expect(ada.stack()).toEqual(["a", "b", "acked-later"]);
    expect(ada.get("b").x).toBe(321);
    ada.release();
    ada.board.restart(log.frames.slice(0, 1));
    ada.paint();
    expect(ada.stack()).toEqual(["a", "acked-later"]);
  });
});

test("five thousand elements: a change of one touches one", async () => {
  const { log, ada, bob } = await setup();
  ada.add(...Array.from({ length: 5000 }, (_, i) => element("rectangle", { id: `r${i}`, index: `b${String(i).padStart(5, "0")}1` })));
  await log.accept();
  bob.paint();
  const before = new Map(bob.list.map((e) => [e.id, e]));
  ada.edit("r2500", { x: 9 });
  await log.accept();
  bob.paint();
  expect(bob.list.filter((e) => before.get(e.id) !== e).map((e) => e.id)).toEqual(["r2500"]);
});
