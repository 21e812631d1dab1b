import { create } from "@bufbuild/protobuf";
import { FrameSchema, type Durable } from "@collaboard/sdk";
import { describe, expect, test } from "vitest";

import { element } from "./elements.js";
import { settled } from "./log.js";
import { Person } from "./person.js";
import { setup } from "./two-people.js";

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
