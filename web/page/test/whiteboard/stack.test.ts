import { describe, expect, test } from "vitest";

import { objectID } from "../../src/whiteboard/names.js";
import { element } from "./elements.js";
import { setup } from "./two-people.js";

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
