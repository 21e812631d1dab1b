import { expect, test } from "vitest";

import { BoardService } from "@collaboard/sdk";
import { updateOp } from "../../page/src/whiteboard/mapping.ts";
import { frameOf } from "../../page/src/whiteboard/frames.ts";
import { crowd, put } from "../crowd.ts";
import { changes, pairWithRectangle } from "../pair.ts";
import type { Person } from "../person.ts";
import { picture } from "../picture.ts";
import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();
const { getBoard, listSavepoints } = BoardService.method;

/** Opens the history, and waits until all of the log is known. */
async function openHistory({ page }: Person): Promise<void> {
  await page.getByRole("button", { name: "History" }).click();
  await page.getByText("The history begins here.").waitFor();
  await page.waitForFunction(() => window.collaboard?.moment?.getAppState().isLoading === false);
}

/** Waits until the moment that is shown has these elements, and so many. */
async function showsPast({ page }: Person, types: string[]): Promise<void> {
  await expect.poll(() => page.evaluate(() => window.collaboard?.moment?.getSceneElements().map((e) => e.type))).toEqual(types);
}

const slider = ({ page }: Person) => page.getByRole("slider", { name: "Moment" });

/** A board with a rectangle, an ellipse and an arrow that Ada drew, in three changes. */
async function threeShapes(): Promise<{ stage: Stage; ada: Person }> {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  for (const [key, y] of [["r", 100], ["o", 250], ["a", 400]] as const) {
    await ada.draw(key, [100, y], [250, y + 100]);
    await ada.key("Escape");
    await ada.saved();
  }
  return { stage, ada };
}

test("the slider goes through time, by mouse and keys, says who changed what, and shows it, and the board goes on meanwhile", async () => {
  const { stage, ada } = await threeShapes();
  const bob = await stage.person("Bob");
  await openHistory(ada);
  await showsPast(ada, ["rectangle", "ellipse", "arrow"]);
  await ada.page.getByText("Now", { exact: true }).waitFor();

  const line = (await slider(ada).boundingBox())!;
  await ada.page.mouse.move(line.x + line.width - 8, line.y + line.height / 2);
  await ada.page.mouse.down();
  await ada.page.mouse.move(line.x + 8, line.y + line.height / 2, { steps: 10 });
  await ada.page.mouse.up();
  await showsPast(ada, ["rectangle"]);
  expect(await slider(ada).inputValue()).toBe("1");
  expect(await slider(ada).getAttribute("aria-valuetext")).toMatch(/^Ada · 3 changes · \d/);
  await ada.page.locator(".time-what").getByText("Added 1 rectangle").waitFor();

  await slider(ada).press("ArrowRight");
  await showsPast(ada, ["rectangle", "ellipse"]);
  const pointedAt = () => ada.page.evaluate(() => {
    const { api: _, moment } = window.collaboard!;
    return [...moment!.getAppState().collaborators.values()].flatMap((c) => Object.keys(c.selectedElementIds ?? {}))
      .map((id) => moment!.getSceneElements().find((e) => e.id === id)?.type);
  });
  await expect.poll(pointedAt).toEqual(["ellipse"]);

  await bob.draw("d", [500, 100], [600, 200]); // somebody else goes on
  await bob.key("Escape");
  await stage.converged();
  await showsPast(ada, ["rectangle", "ellipse"]);
  await ada.page.getByRole("group", { name: "Changes" }).getByText("Added 1 diamond").waitFor();
  await slider(ada).press("PageUp"); // to the end of Ada's
  await showsPast(ada, ["rectangle", "ellipse", "arrow"]);
  await slider(ada).press("PageUp");
  await showsPast(ada, ["rectangle", "ellipse", "arrow", "diamond"]);
  await slider(ada).press("PageDown");
  await showsPast(ada, ["rectangle", "ellipse", "arrow"]);

  await ada.page.keyboard.press("Delete"); // which is for nothing here
  await ada.page.getByRole("button", { name: "Close history" }).click();
  await ada.draw("r", [500, 300], [600, 400]); // and Ada goes on where she was
  await ada.key("Escape");
  expect(await stage.converged()).toHaveLength(5);
});

test("a moment is restored for everybody, and that is undone", async () => {
  const { stage, ada } = await threeShapes();
  const bob = await stage.person("Bob");
  await bob.sees(({ elements }) => elements.length === 3);
  await openHistory(ada);
  await slider(ada).press("Home");
  await showsPast(ada, ["rectangle"]);
  await ada.page.getByRole("button", { name: "Restore this moment" }).click();
  await ada.page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  expect(await changes(stage, ada)).toBe(3);
  await ada.page.getByRole("button", { name: "Restore this moment" }).click();
  await ada.page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  await bob.sees(({ elements }) => elements.length === 1);
  await ada.page.getByText(/^The board is as it was at/).waitFor();
  await showsPast(ada, ["rectangle"]); // which is now
  await ada.page.getByText("Now", { exact: true }).waitFor();
  await stage.converged();

  await ada.page.getByRole("button", { name: "Undo" }).click();
  await bob.sees(({ elements }) => elements.length === 3);
  await showsPast(ada, ["rectangle", "ellipse", "arrow"]);
  await stage.converged();
  await ada.page.getByRole("button", { name: "Close history" }).click();
  await bob.draw("r", [500, 100], [600, 200]);
  await bob.key("Escape");
  expect(await stage.converged()).toHaveLength(4);
});

test("a moment becomes a board of its own", async () => {
  const { stage, ada } = await threeShapes();
  await openHistory(ada);
  await slider(ada).press("Home");
  await showsPast(ada, ["rectangle"]);
  await ada.page.getByRole("button", { name: "Copy as new board" }).click();
  await ada.page.getByLabel("Name of the new board").fill("Only a rectangle");
  await ada.page.keyboard.press("Enter");
  await ada.page.waitForURL((url) => url.pathname.startsWith("/b/") && !url.pathname.endsWith(stage.board));
  await ada.live();
  await ada.page.getByRole("button", { name: "Only a rectangle" }).waitFor();
  await ada.sees(({ elements }) => elements.length === 1 && elements[0]!.type === "rectangle");
  expect(await stage.program.call(getBoard, { boardId: stage.board })).toMatchObject({ name: "A board", objectCount: 3n });
});

test("a moment gets a name, another name, is found by it, and loses it, and gets it back", async () => {
  const { stage, ada } = await threeShapes();
  const { page } = ada;
  const names = async () => (await stage.program.call(listSavepoints, { boardId: stage.board })).savepoints.map(({ seq, name }) => [seq, name]);
  await openHistory(ada);
  await slider(ada).press("ArrowLeft");
  await page.getByRole("button", { name: "Name it" }).click();
  await page.getByLabel("Name of the savepoint").fill("Before the arrow");
  await page.keyboard.press("Enter");
  const savepoint = page.getByRole("button", { name: /^Before the arrow/ });
  await savepoint.waitFor();
  expect(await names()).toEqual([[2n, "Before the arrow"]]);

  await savepoint.hover();
  await page.getByRole("button", { name: "Rename Before the arrow" }).click();
  await page.getByLabel("Name of the savepoint").fill("Two shapes");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^Two shapes/ }).waitFor();
  await slider(ada).press("End");
  await showsPast(ada, ["rectangle", "ellipse", "arrow"]);
  await page.getByRole("button", { name: /^Two shapes/ }).click();
  await showsPast(ada, ["rectangle", "ellipse"]);

  await page.getByRole("button", { name: "Delete Two shapes" }).click();
  await page.getByText("“Two shapes” was deleted.").waitFor();
  expect(await names()).toEqual([]);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: /^Two shapes/ }).waitFor();
  expect(await names()).toEqual([[2n, "Two shapes"]]);
});

test("the selected object says who made and changed it, and is brought back alone", async () => {
  const { stage, ada, bob } = await pairWithRectangle(browser());
  await ada.draw("o", [400, 100], [500, 200]);
  await ada.key("Escape");
  await bob.sees(({ elements }) => elements.length === 2);
  await bob.click([100, 150]); // the rectangle
  await bob.recolour("#2f9e44");
  await bob.saved();
  const colour = (person: Person) => person.page.evaluate(() => window.collaboard!.api.getSceneElements().find((e) => e.type === "rectangle")!.strokeColor);
  const green = await colour(bob);
  await expect.poll(() => colour(ada)).toBe(green);

  await ada.click([100, 150]); // on the board: it is the selected one in its history
  await openHistory(ada);
  const facts = ada.page.getByRole("region", { name: "Selected object" });
  await expect.poll(() => facts.textContent()).toMatch(/^RectangleMade byAdaat .*Last changed byBobat/);
  await slider(ada).press("Home");
  await expect.poll(() => facts.textContent()).toMatch(/Last changed byAdaat/);
  await facts.getByRole("button", { name: "Bring it back" }).click();
  await ada.page.getByText(/^The object is as it was at/).waitFor();
  await expect.poll(() => colour(bob)).toBe("#1e1e1e");
  await bob.sees(({ elements }) => elements.length === 2); // the ellipse is left alone
  await ada.page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(() => colour(bob)).toBe(green);

  await ada.page.getByRole("button", { name: "Back to now" }).click();
  await showsPast(ada, ["rectangle", "ellipse"]);
  await ada.page.getByRole("button", { name: "Select nothing" }).click();
  await ada.click([400, 150]); // in its history
  await facts.getByRole("heading", { name: "Ellipse" }).waitFor();
  await put(stage.program, stage.board, picture().filter(({ id }) => /^committer/.test(String(id)))); // a box with a label and arrows
  await showsPast(ada, ["rectangle", "ellipse", "rectangle", "text", "arrow", "arrow"]);
  await ada.click([530, 100]);
  await facts.getByRole("heading", { name: "Rectangle" }).waitFor();
  await stage.converged();
});

test("a log of many pages is gone through in both directions, and its list goes to the beginning", async () => {
  const stage = await Stage.open(browser());
  const elements = crowd(100);
  await put(stage.program, stage.board, elements);
  for (let n = 1; n <= 1_500; n++) {
    stage.program.submit(stage.board, frameOf([updateOp(elements[n % 100]!, { x: n })]));
  }
  await stage.program.flush();
  const { headSeq } = await stage.program.call(getBoard, { boardId: stage.board });
  const ada = await stage.person("Ada");
  await openHistory(ada);
  const moved = (x: number) => ada.page.waitForFunction((x) => {
    const shown = window.collaboard!.moment!.getSceneElements();
    return shown.length === 100 && shown.some((e) => e.x === x) && !shown.some((e) => e.x === x + 1);
  }, x);
  for (const back of [1_300, 200, 700, 1]) { // not 1,500: the last change has no next
    await ada.page.evaluate((value) => {
      const line = document.querySelector<HTMLInputElement>(".time-track input")!;
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")!.set!.call(line, value);
      line.dispatchEvent(new Event("input", { bubbles: true }));
    }, String(Number(headSeq) - back));
    await moved(1_500 - back);
  }
});

test("a log that was trimmed begins where it does now, also when that is later than when it was opened", async () => {
  const stage = await Stage.open(browser(), "--retain-log", "20", "--retain-interval", "100ms");
  const elements = crowd(10);
  await put(stage.program, stage.board, elements);
  const move = async (from: number, to: number) => {
    for (let n = from; n <= to; n++) {
      stage.program.submit(stage.board, frameOf([updateOp(elements[n % 10]!, { x: n })]));
    }
    await stage.program.flush();
    const trimmed = () => stage.program.call(getBoard, { boardId: stage.board });
    await expect.poll(async () => Number((await trimmed()).firstSeq)).toBeGreaterThan(to - 25);
    return trimmed();
  };
  const { firstSeq } = await move(1, 100);
  const ada = await stage.person("Ada");
  await ada.page.getByRole("button", { name: "History" }).click();
  await ada.page.getByText("Older history is not kept.").waitFor();
  expect(await slider(ada).getAttribute("min")).toBe(String(firstSeq));
  const moved = (x: number) => ada.page.waitForFunction((x) => {
    const shown = window.collaboard!.moment!.getSceneElements();
    return shown.length === 10 && shown.some((e) => e.x === x) && !shown.some((e) => e.x === x + 1);
  }, x);
  await slider(ada).press("Home");
  await moved(Number(firstSeq) - 1);
  await move(101, 200);
  await slider(ada).press("PageUp");
  await moved(200);
  await ada.page.getByRole("button", { name: "Close history" }).click();
  await ada.page.getByRole("button", { name: "History" }).click();
  await slider(ada).press("Home");
  await moved(Number((await stage.program.call(getBoard, { boardId: stage.board })).firstSeq) - 1);
});

test("a picture that is no more is still to be seen where it was", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  await ada.drop('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="90" height="90" fill="red"/></svg>', "red.svg", "image/svg+xml");
  await ada.sees(({ elements }) => elements.some((e) => e.type === "image" && (e as { status?: string }).status === "saved"));
  await ada.key("Delete");
  await ada.saved();
  await ada.sees(({ elements }) => elements.length === 0);
  const bob = await stage.person("Bob"); // who never saw it
  await openHistory(bob);
  await slider(bob).press("ArrowLeft");
  await showsPast(bob, ["image"]);
  await bob.page.waitForFunction(() => {
    const { moment } = window.collaboard!;
    return moment!.getSceneElements().every((e) => e.type === "image" && e.fileId !== null && e.fileId in moment!.getFiles());
  });
});
