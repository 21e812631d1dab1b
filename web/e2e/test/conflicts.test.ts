import { expect, test } from "vitest";

import { corner, edge, pairAtText, pairWithRectangle } from "../pair.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// Each test makes two changes cross on the way: while Ada's network holds everything back, she makes hers, and Bob his,
// so that neither knows of the other. Bob's is in the log first, and Ada's second.

const browser = useBrowser();

/** While Ada's changes are on their way, and Bob's are not known to her. */
async function crossed(stage: Stage, ada: Person, adas: () => Promise<void>, bob: Person, bobs: () => Promise<void>) {
  ada.network.hold();
  await adas();
  await bobs();
  await bob.saved();
  ada.network.up();
  return stage.converged(ada, bob);
}

test("of two moves of one thing the later wins, for both", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const [got] = await crossed(stage, ada, () => ada.drag(edge, [140, 150]), bob, () => bob.drag(edge, [100, 350]));
  expect(got).toMatchObject({ x: 140, y: 100 });
});

test("a move and a change of colour are both kept", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const [got] = await crossed(stage, ada, () => ada.drag(edge, [180, 190]), bob, async () => {
    await bob.click(edge);
    await bob.recolour("#e03131");
  });
  expect(got).toMatchObject({ x: 180, y: 140, strokeColor: "#e03131" });
});

test("a change of size and a change of colour are both kept", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const [got] = await crossed(stage, ada, async () => {
    await ada.click(edge);
    await ada.drag(corner, [404, 304]);
  }, bob, async () => {
    await bob.click(edge);
    await bob.recolour("#2f9e44");
  });
  expect(got).toMatchObject({ strokeColor: "#2f9e44" });
  expect(got!.width).toBeGreaterThan(250);
});

test("typing and a change of colour are both kept, and typing goes on", async () => {
  const { stage, ada, bob } = await pairAtText(browser());
  await bob.click([220, 205]);
  await bob.recolour("#1971c2");
  await ada.page.waitForFunction(() => window.collaboard!.board.replica!.stack().some((object) =>
    object.props["strokeColor"]?.kind.value === "#1971c2"));
  await ada.page.keyboard.type(" world");
  await ada.key("Escape");
  const [got] = await stage.converged();
  expect(got).toMatchObject({ text: "Hello world", strokeColor: "#1971c2" });
});

test("of an edit and a delete the delete wins", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const got = await crossed(stage, ada, () => ada.drag(edge, [180, 190]), bob, async () => {
    await bob.click(edge);
    await bob.key("Delete");
  });
  expect(got).toEqual([]);
});

test("of a delete and an edit the delete wins", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const got = await crossed(stage, ada, async () => {
    await ada.click(edge);
    await ada.key("Delete");
  }, bob, () => bob.drag(edge, [180, 190]));
  expect(got).toEqual([]);
});

test("two arrows that are bound to one shape at once are both bound", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await crossed(stage, ada, () => ada.draw("a", [500, 120], [310, 120]), bob, () => bob.draw("a", [500, 180], [310, 180]));
  const scenes = [await ada.elements(), await bob.elements()];
  for (const elements of scenes) {
    const [shape] = elements.filter((e) => e.type === "rectangle");
    const arrows = elements.filter((e) => e.type === "arrow");
    expect(arrows.map((e) => e.type === "arrow" && e.endBinding?.elementId)).toEqual([shape!.id, shape!.id]);
    expect(shape!.boundElements?.map((bound) => bound.id).sort()).toEqual(arrows.map((e) => e.id).sort());
  }
});

test("an arrow between two shapes that are moved at once ends at both", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.draw("r", [600, 100], [800, 200]);
  await ada.draw("a", [310, 150], [590, 150]);
  await ada.key("Escape");
  await bob.sees(({ elements }) => elements.length === 3);
  await stage.converged();
  const got = await crossed(stage, ada, () => ada.drag(edge, [100, 450]), bob, () => bob.drag([800, 150], [800, 400]));
  expect(got).toMatchObject([{ x: 100, y: 400 }, { x: 600, y: 350 }, { type: "arrow" }]); // the shapes, where they were put
  for (const person of [ada, bob]) {
    const [left, right, arrow] = await person.elements();
    expect(arrow).toMatchObject({ startBinding: { elementId: left!.id }, endBinding: { elementId: right!.id } });
    expect([left, right].map((shape) => shape!.boundElements)).toEqual(Array(2).fill([{ id: arrow!.id, type: "arrow" }]));
  }
  for (const person of [ada, bob]) { // the arrow of whoever was later goes after the shape that the other has moved
    await person.sees(({ elements: [left, right, arrow] }) => {
      const end = (arrow as unknown as { points: [number, number][] }).points.at(-1)!;
      const meets = (shape: typeof left, x: number, y: number) =>
        x > shape!.x - 20 && x < shape!.x + shape!.width + 20 && y > shape!.y - 20 && y < shape!.y + shape!.height + 20;
      return meets(left, arrow!.x, arrow!.y) && meets(right, arrow!.x + end[0], arrow!.y + end[1]);
    });
  }
  await stage.converged();
});

test("undo takes back one's own work, and never another's", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await bob.draw("o", [400, 100], [500, 200]);
  await ada.sees(({ elements }) => elements.length === 2);
  await ada.undo();
  await bob.sees(({ elements }) => elements.length === 1 && elements[0]!.type === "ellipse");
  await ada.undo(); // nothing of hers is left
  await stage.converged();
  await ada.redo();
  await bob.sees(({ elements }) => elements.length === 2);
  const got = await stage.converged();
  expect(got.map((element) => element.type).sort()).toEqual(["ellipse", "rectangle"]);
});

test("typing that is taken back leaves nothing, and nothing unsaved", async () => {
  const { stage, ada, bob } = await pairAtText(browser());
  await ada.key("Escape");
  await stage.converged();
  await ada.undo();
  await ada.undo();
  await bob.sees(({ elements }) => elements.length === 0);
  expect(await stage.converged()).toEqual([]);
});

test("undo of a move keeps the colour that another gave meanwhile", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.drag(edge, [180, 190]);
  await bob.sees(({ elements }) => elements[0]!.x === 180);
  await bob.click([180, 190]);
  await bob.recolour("#e03131");
  await ada.sees(({ elements }) => elements[0]!.strokeColor === "#e03131");
  await ada.undo();
  await bob.sees(({ elements }) => elements[0]!.x === 100);
  const [got] = await stage.converged();
  expect(got).toMatchObject({ x: 100, y: 100, strokeColor: "#e03131" });
});

test("undo of a delete brings back what another changed meanwhile", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  const nothing = await crossed(stage, ada, async () => {
    await ada.click(edge);
    await ada.key("Delete");
  }, bob, async () => {
    await bob.click(edge);
    await bob.recolour("#e03131");
  });
  expect(nothing).toEqual([]);
  await ada.undo();
  await bob.sees(({ elements }) => elements.length === 1);
  const [got] = await stage.converged();
  expect(got).toMatchObject({ x: 100, y: 100, strokeColor: "#e03131" });
});
