import { expect, test } from "vitest";

import { changes, corner, edge, pairAtText, pairWithRectangle } from "../pair.ts";
import type { Person } from "../person.ts";
import { useBrowser } from "../stage.ts";

// Ada is in the middle of something when Bob's changes arrive. What she has in hand stays as it is until she lets go.

const browser = useBrowser();

test("a gesture in flight is not torn by what others do", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.press(edge, [150, 150], [180, 190]);
  await bob.sees(({ elements }) => elements[0]!.x === 180); // a ghost
  await bob.click([180, 190]);
  await bob.recolour("#e03131");
  await bob.draw("o", [400, 100], [500, 200]);
  await ada.sees(({ elements }) => elements.some((e) => e.type === "ellipse"));
  await ada.sees(({ elements }) => elements.some((e) => e.type === "rectangle" && e.x === 180 && e.y === 140));
  await ada.page.mouse.move(...await ada.at([200, 250]));
  const before = await changes(stage, ada);
  await ada.page.mouse.up();
  const got = await stage.converged();
  expect(got.find((element) => element.type === "rectangle")).toMatchObject({ x: 200, y: 200, strokeColor: "#e03131" });
  expect([before, await changes(stage, ada)]).toEqual([1, 2]); // what she drew, and then the whole gesture
});

test("a stroke in flight is not torn by what others do", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.key("p");
  await ada.press([100, 300], [200, 400], [300, 300]);
  const before = (await ada.elements()).find((e) => e.type === "freedraw")!;
  await bob.draw("o", [400, 100], [500, 200]);
  await bob.drag(edge, [140, 150]);
  await ada.sees(({ elements }) => elements.some((e) => e.type === "ellipse") && elements.some((e) => e.type === "rectangle" && e.x === 140));
  for (const point of [[350, 400], [400, 300]] as const) {
    await ada.page.mouse.move(...await ada.at(point), { steps: 4 });
  }
  await ada.page.mouse.up();
  const got = await stage.converged();
  expect(await changes(stage, ada)).toBe(2);
  const stroke = got.find((element) => element.type === "freedraw")!;
  expect(stroke.id).toBe(before.id);
  expect((stroke.points as unknown[]).length).toBeGreaterThan((before as { points: readonly unknown[] }).points.length);
});

test("a change of size in flight is not torn by a move", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.click(edge);
  await ada.press(corner, [354, 254], [404, 304]);
  await bob.sees(({ elements }) => elements[0]!.width === 300); // a ghost
  const inHand = await geometry(ada);
  await bob.drag(edge, [100, 350]);
  await bob.saved();
  await ada.knows(({ stack }) => stack[0]!.y === 300);
  expect(await geometry(ada)).toEqual(inHand);
  await ada.page.mouse.move(...await ada.at([454, 404]));
  await ada.sees(({ elements }) => elements[0]!.width === 350);
  const before = await changes(stage, ada);
  await ada.page.mouse.up();
  const [got] = await stage.converged();
  expect(got).toMatchObject({ x: 100, y: 100, width: 350, height: 300 }); // the later geometry, and all of it
  expect(await changes(stage, ada)).toBe(before + 1);
});

test("a change of size in flight goes on until its end, though its thing was deleted", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.click(edge);
  await ada.press(corner, [354, 254], [404, 304]);
  await bob.sees(({ elements }) => elements[0]!.width === 300);
  const inHand = await geometry(ada);
  await bob.click(edge);
  await bob.key("Delete");
  await bob.saved();
  await ada.knows(({ stack }) => stack.length === 0);
  expect(await geometry(ada)).toEqual(inHand);
  await ada.page.mouse.move(...await ada.at([454, 404]));
  await ada.sees(({ elements }) => elements[0]!.width === 350);
  await ada.page.mouse.up();
  await ada.sees(({ elements }) => elements.length === 0);
  expect(await stage.converged()).toEqual([]);
});

test("a text that is typed is not torn by a move, which is kept too", async () => {
  const { stage, ada, bob } = await pairAtText(browser());
  await bob.knows(({ stack }) => stack.length === 1); // it is in the log
  await bob.drag([225, 212], [225, 412]);
  await bob.saved();
  await ada.knows(({ stack }) => stack[0]!.y > 350);
  await ada.page.keyboard.type(" world");
  expect(await ada.page.locator("textarea.excalidraw-wysiwyg").inputValue()).toBe("Hello world");
  await bob.sees(({ elements }) => elements.some((e) => e.type === "text" && e.text === "Hello world" && e.y > 350));
  await ada.key("Escape");
  const [got] = await stage.converged();
  expect(got).toMatchObject({ text: "Hello world" });
  expect(got!.y).toBeGreaterThan(350);
});

test("a text that is typed can be typed to its end, though it was deleted", async () => {
  const { stage, ada, bob } = await pairAtText(browser());
  await bob.knows(({ stack }) => stack.length === 1); // it is in the log
  await bob.click([225, 212]);
  await bob.key("Delete");
  await bob.saved();
  await ada.knows(({ stack }) => stack.length === 0);
  await ada.page.keyboard.type(" world");
  expect(await ada.page.locator("textarea.excalidraw-wysiwyg").inputValue()).toBe("Hello world");
  await ada.key("Escape");
  await ada.sees(({ elements }) => elements.length === 0);
  expect(await stage.converged()).toEqual([]);
});

/** What somebody sees of the only thing there is. */
async function geometry(person: Person) {
  const [element] = await person.elements();
  return { x: element!.x, y: element!.y, width: element!.width, height: element!.height };
}
