import { describe, expect, test } from "vitest";

import { element } from "./elements.js";
import { Person } from "./person.js";
import { opsOf, setup } from "./two-people.js";

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
