import type { Page } from "playwright-core";
import { expect, test } from "vitest";

import { BoardService } from "@collaboard/sdk";
import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

/** Keeps calls of a method from the server until it is told to let them through. */
async function withhold(page: Page, method: string): Promise<() => void> {
  let held = true;
  await page.routeWebSocket((url) => url.pathname.endsWith(`/${method}`), (socket) => {
    if (!held) {
      socket.connectToServer();
    }
  });
  return () => (held = false);
}

async function choose(page: Page, board: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `Menu of ${board}` }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

test("a name and a delete of the list survive a reload before the server has them", async () => {
  const stage = await Stage.open(browser());
  const { page, ...ada } = await stage.visitor("Ada");
  const nameNow = async () => (await stage.program.call(BoardService.method.getBoard, { boardId: stage.board })).name;
  const releases = await Promise.all(["UpdateBoard", "DeleteBoard"].map((method) => withhold(page, method)));
  await page.goto(ada.network.url);
  await choose(page, "A board", "Rename");
  await page.getByLabel("Name of the board").fill("Plans");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Plans" }).waitFor();
  expect(await nameNow()).toBe("A board");
  releases[0]!();
  await page.reload();
  await page.getByRole("link", { name: "Plans" }).waitFor();
  await expect.poll(nameNow).toBe("Plans");

  await choose(page, "Plans", "Delete");
  await page.getByText("No boards yet").waitFor();
  releases[1]!();
  await page.reload();
  await page.getByText("No boards yet").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("link", { name: "Plans" }).waitFor();
});

test("a name that the server did not get is there to be given again, and so is a delete", async () => {
  const stage = await Stage.open(browser());
  const { page, network } = await stage.visitor("Ada");
  await page.goto(network.url);
  await choose(page, "A board", "Rename");
  network.down();
  const field = page.getByLabel("Name of the board");
  await field.fill("Plans");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("The board was not renamed. The server cannot be reached.").waitFor();
  expect(await field.inputValue()).toBe("Plans");
  network.up();
  const stored = page.waitForEvent("websocket", (socket) => socket.url().endsWith("/UpdateBoard"))
    .then((call) => (call.isClosed() ? call : call.waitForEvent("close"))); // the new name is shown before
  await field.press("Enter");
  await page.getByRole("link", { name: "Plans" }).waitFor();
  await stored;

  network.down();
  await choose(page, "Plans", "Delete");
  await page.getByRole("alert").getByText("“Plans” was not deleted. The server cannot be reached.").waitFor();
  await page.getByRole("link", { name: "Plans" }).waitFor();
  network.up();
  await page.getByRole("button", { name: "Try again" }).first().click();
  await page.getByText("“Plans” was deleted.").waitFor();
});
