import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { drawingType } from "../drawing.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// Something that takes long is under way when the server, or the browser, is killed.

const browser = useBrowser();
const count = 3000;

/** A drawing that is several frames. */
function large(): string {
  const elements = Array.from({ length: count }, (_, n) => ({
    id: `element-${n}`, type: "rectangle", x: 12 * (n % 60), y: 12 * Math.floor(n / 60), width: 10, height: 10, roughness: 0,
  }));
  return JSON.stringify({ type: "excalidraw", version: 2, source: "", elements, appState: {}, files: {} });
}

/** Resolves at once when somebody's next frame is in the log. */
async function logged(stage: Stage): Promise<void> {
  const board = stage.program.join(stage.board);
  await board.joined;
  await new Promise<void>((resolve) => board.on("frame", () => resolve()));
}

const unsaved = (person: Person) => person.page.evaluate(() => window.collaboard!.client.state.unsaved);

/** How many frames a browser keeps. */
function stored(person: Person): Promise<number> {
  return person.page.evaluate(async () => {
    const database = (await indexedDB.databases()).find(({ name }) => name?.startsWith("collaboard http"));
    const opening = indexedDB.open(database!.name!);
    return new Promise<number>((resolve) => (opening.onsuccess = () => {
      const reading = opening.result.transaction("frames").objectStore("frames").getAll();
      reading.onsuccess = () => {
        opening.result.close();
        resolve(reading.result.reduce((sum, row: { frames: object[] }) => sum + row.frames.length, 0));
      };
    }));
  });
}

test("a server that is killed in the middle of a large drawing gets all of it", { timeout: 120_000 }, async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  ada.network.delay = () => 1000;
  const first = logged(stage);
  await ada.drop(large(), "large.excalidraw", drawingType);
  await first;
  ada.network.swallow(); // the acks, which are on their way
  await stage.server.stop("SIGKILL");
  expect(await unsaved(ada)).toBeGreaterThan(0);
  ada.network.up();
  await stage.server.start();
  await ada.live();
  expect(await stage.converged()).toHaveLength(count);
});

test("a server that is killed in the middle of an undo of much gets all of it", { timeout: 120_000 }, async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  await ada.drop(large(), "large.excalidraw", drawingType);
  await ada.sees(({ elements }) => elements.length > 0);
  await stage.converged();
  ada.network.delay = () => 1000;
  const first = logged(stage);
  await ada.undo();
  await first;
  ada.network.swallow(); // the acks, which are on their way
  await stage.server.stop("SIGKILL");
  expect(await unsaved(ada)).toBeGreaterThan(0);
  ada.network.up();
  await stage.server.start();
  await ada.live();
  expect(await stage.converged()).toEqual([]);
  await ada.redo();
  await ada.sees(({ elements }) => elements.length > 0);
  expect(await stage.converged()).toHaveLength(count);
});

test("a browser that is killed before a large drawing has arrived sends it when it is back", { timeout: 120_000 }, async () => {
  const stage = await Stage.open(browser());
  const device = await stage.device();
  const ada = await stage.visitor("Ada", device);
  await ada.open(stage.board);
  device.network.hold();
  await ada.drop(large(), "large.excalidraw", drawingType);
  await expect.poll(() => stored(ada)).toBeGreaterThan(1);
  device.network.down();
  const gone = ada.context.waitForEvent("close");
  process.kill(Number(readlinkSync(join(device.profile, "SingletonLock")).split("-").at(-1)), "SIGKILL");
  await gone;
  device.network.up();
  expect(await stage.snapshot()).toEqual([]);
  const again = await stage.person("Ada", device);
  await again.sees(({ elements }) => elements.length > 0);
  expect(await stage.converged()).toHaveLength(count);
});

test("a picture whose upload the server did not survive is there for all", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  ada.network.delay = () => 1000;
  const upload = ada.page.waitForEvent("websocket", (socket) => socket.url().endsWith("/UploadFile"));
  const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><desc>${"x".repeat(3 << 20)}</desc><circle r="90"/></svg>`;
  await ada.drop(picture, "large.svg", "image/svg+xml");
  await upload;
  await stage.server.stop("SIGKILL");
  expect(await ada.page.locator(".save-state").innerText()).not.toBe("Saved");
  await stage.server.start();
  ada.network.delay = undefined;
  await ada.live();
  await stage.converged();
  for (const person of [bob, await stage.person("Cy")]) {
    await person.page.waitForFunction(() => Object.keys(window.collaboard!.api.getFiles()).length === 1);
  }
});
