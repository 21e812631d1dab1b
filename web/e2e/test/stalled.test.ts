import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import type { Browser } from "playwright-core";

import { BoardService, Client } from "@collaboard/sdk";
import { Server } from "../../sdk/test/server.ts";
import { PageSocket } from "../../sdk/test/socket.ts";
import { launch } from "../browser.ts";
import type {} from "../client/main.ts";
import { Site } from "../site.ts";

const MiB = 1 << 20;

let browser: Browser;
let site: Site;
let server: Server;

beforeAll(async () => {
  [browser, site] = await Promise.all([launch(), Site.start(inject("clientPage"))]);
  server = await Server.start("--allowed-origin", site.origin, "--debug-addr", "127.0.0.1:0");
});

afterAll(async () => {
  await browser.close();
  site.close();
  await server.remove();
});

test("a tab that stops reading neither slows others nor grows the server, and misses nothing", async () => {
  const writer = new Client({ url: server.url, webSocket: PageSocket, storage: false });
  onTestFinished(() => writer.close());
  const { id } = await writer.call(BoardService.method.createBoard, { name: "A board" });
  const page = await browser.newPage();
  await page.goto(site.origin);
  await page.evaluate(async ({ url, id }) => {
    const board = new window.Client({ url, storage: false }).join(id);
    const heard = Object.assign(window, { heard: [] as number[] }).heard;
    board.on("frame", (frame) => void heard.push(Number(frame.seq)));
    await board.joined;
  }, { url: server.url, id });

  // The debugger stops the page's only thread, as an endless loop would, at the next message.
  const debug = await page.context().newCDPSession(page);
  await debug.send("Debugger.enable");
  const paused = new Promise((resolve) => debug.once("Debugger.paused", resolve));
  await debug.send("Debugger.pause");
  const write = async (count: number) => {
    const data = new Uint8Array(MiB / 4).map(() => Math.random() * 256); // a WebSocket may compress
    for (let i = 0; i < count; i++) {
      writer.submit(id, { case: "custom", value: { type: "block", data } });
      await writer.flush(); // acked
    }
  };
  await write(16);
  await paused;
  const before = await memory();
  await write(256);
  expect((await memory()) - before).toBeLessThan(16 * MiB);

  await debug.send("Debugger.resume");
  await debug.send("Debugger.disable");
  await page.waitForFunction(() => (window as unknown as { heard: number[] }).heard.length === 272);
  expect(await page.evaluate(() => (window as unknown as { heard: number[] }).heard))
    .toEqual(Array.from({ length: 272 }, (_, i) => i + 1));
});

/** What is in use on the server's heap, in bytes, after a collection. */
async function memory(): Promise<number> {
  const profile = await fetch(`${server.profiles}heap?gc=1&debug=1`);
  return Number(/# HeapAlloc = (\d+)/.exec(await profile.text())?.[1]);
}
