import { crc32, deflateSync } from "node:zlib";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";

import { BoardService } from "@collaboard/sdk";
import { fieldsOf } from "../../page/src/whiteboard/fields.ts";
import { put } from "../crowd.ts";
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

/** A PNG of one colour. */
function png(width: number, height: number, colour: readonly [r: number, g: number, b: number]): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const row = Buffer.from([0, ...Array.from({ length: width }, () => colour).flat()]);
  return new Uint8Array(Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(Buffer.concat(Array(height).fill(row)))),
    chunk("IEND", Buffer.alloc(0)),
  ]));
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`the pictures of the list have the boards' images, and places for those that are not there: ${colorScheme}`, async () => {
    const stage = await Stage.open(browser());
    const { sha256 } = await stage.program.call(BoardService.method.uploadFile, {
      boardId: stage.board, content: png(600, 400, [200, 30, 30]), mediaType: "image/png",
    });
    const image = (id: string, x: number, sha: string) => fieldsOf({
      id, type: "image", x, y: 0, width: 300, height: 200, angle: 0, strokeColor: "transparent", backgroundColor: "transparent",
      fillStyle: "solid", strokeWidth: 1, strokeStyle: "solid", roughness: 0, opacity: 100, groupIds: [], locked: false, isDeleted: false,
      scale: [1, 1], fileId: `file-${id}`, fileSha256: sha, fileMediaType: "image/png",
    } as unknown as Parameters<typeof fieldsOf>[0]);
    await put(stage.program, stage.board, [image("here", 0, sha256), image("lost", 340, "0".repeat(64))]);
    const { page, network } = await stage.visitor("Ada", { colorScheme });
    await page.goto(network.url);
    const picture = page.locator(".card-picture img");
    await picture.waitFor();
    await page.waitForFunction(() => document.getAnimations().length === 0);
    const shot = (await picture.screenshot()).toString("base64");
    const [red, grey] = await page.evaluate(async (data) => {
      const shown = new Image();
      shown.src = `data:image/png;base64,${data}`;
      await shown.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [shown.width, shown.height];
      const context = canvas.getContext("2d")!;
      context.drawImage(shown, 0, 0);
      return [0.3, 0.7].map((at) => [...context.getImageData(shown.width * at, shown.height / 2, 1, 1).data]);
    }, shot) as [number[], number[]];
    expect(red[0]! - Math.max(red[1]!, red[2]!), String(red)).toBeGreaterThan(80); // in the dark too
    expect(Math.max(...grey.slice(0, 3)) - Math.min(...grey.slice(0, 3)), String(grey)).toBeLessThan(12);
  });
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
