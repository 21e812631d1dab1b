import { describe, expect, test } from "vitest";

import { element } from "./elements.js";
import { opsOf, setup } from "./two-people.js";

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

  test("is unsent while somebody types, and no longer than they pause", async () => {
    const { log, ada } = await setup();
    const text = element("text", { id: "t", index: "a1", text: "0", originalText: "0" });
    ada.list = [text];
    ada.view = { ...ada.view, editingTextElement: text as never };
    for (let i = 1; i <= 45; i++) { // five letters a second
      ada.mutate("t", { text: `${i}`, originalText: `${i}` });
      ada.engine.changed();
      expect(ada.saving.at(-1)).toBe(true); // these words are nowhere else
      ada.pass(200);
    }
    const commits = ada.board.submitted.length;
    expect(commits).toBeGreaterThan(3); // in nine seconds
    expect(commits).toBeLessThan(6);
    ada.pass(400);
    expect([ada.saving.at(-1), ada.board.submitted.length]).toEqual([false, commits + 1]);
    expect(ada.view.editingTextElement).not.toBeNull();
    await log.accept();
    ada.pass(5000);
    expect(ada.board.submitted).toHaveLength(commits + 1); // there is nothing more to say
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
