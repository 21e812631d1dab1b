import { expect, test } from "vitest";

import { pairAtText } from "../pair.ts";
import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

test("what one draws, another sees", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.draw("r", [100, 100], [300, 200]);
  await bob.sees(({ elements }) => elements.some((e) => e.type === "rectangle" && e.width === 200 && e.height === 100));
  await bob.draw("o", [400, 100], [500, 200]);
  await ada.sees(({ elements }) => elements.some((e) => e.type === "ellipse"));
  const scene = await stage.converged();
  expect(scene.map((element) => element.type)).toEqual(["rectangle", "ellipse"]);
});

test("text is seen while it is typed, and is one element", async () => {
  const { stage, ada, bob } = await pairAtText(browser());
  await ada.page.keyboard.type(" world");
  await ada.key("Escape");
  await bob.sees(({ elements }) => elements.length === 1 && elements.some((e) => e.type === "text" && e.text === "Hello world"));
  await stage.converged();
});

test("a stroke is seen before it is committed", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.key("p");
  await ada.press([100, 100], [150, 160], [220, 180], [300, 120]);
  await bob.sees(({ elements }) => elements.some((e) => e.type === "freedraw" && e.points.length > 4));
  expect(await stage.snapshot()).toEqual([]);
  await ada.page.mouse.up();
  const scene = await stage.converged();
  expect(scene.map((element) => element.type)).toEqual(["freedraw"]);
});

test("the ghost of a stroke goes with who draws it", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.key("p");
  await ada.press([100, 100], [150, 160], [220, 180], [300, 120]);
  await bob.sees(({ elements }) => elements.length === 1);
  ada.network.down();
  await bob.sees(({ elements }) => elements.length === 0);
  ada.network.up();
  await ada.page.mouse.up();
  await ada.live();
  await stage.converged();
});

test("cursors are seen, with their owners' names", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.point([120, 130]);
  await bob.page.waitForFunction(() => [...window.collaboard!.api.getAppState().collaborators.values()].some((c) =>
    c.username === "Ada" && c.pointer !== undefined && Math.abs(c.pointer.x - 120) < 1 && Math.abs(c.pointer.y - 130) < 1));
  await ada.context.close();
  await bob.page.waitForFunction(() =>
    [...window.collaboard!.api.getAppState().collaborators.values()].every((c) => c.username !== "Ada"));
});

test("what one has selected, another sees", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.draw("r", [100, 100], [300, 200]); // and it is selected
  await bob.page.waitForFunction(() => [...window.collaboard!.api.getAppState().collaborators.values()].some((c) =>
    c.username === "Ada" && Object.keys(c.selectedElementIds ?? {}).length === 1));
});
