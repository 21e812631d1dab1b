import { BoardService, Client } from "@collaboard/sdk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { watchReturn } from "../src/board/return.js";
import { Server } from "../../sdk/test/server.js";
import { PageSocket } from "../../sdk/test/socket.js";
import type {} from "../../sdk/test/build-server.js";

const { createBoard, deleteBoard, undeleteBoard, getBoard } = BoardService.method;
const cleanups: (() => unknown)[] = [];
let window: EventTarget;
let page: EventTarget & { visibilityState: string };
let client: Client;
let boardId: string;

beforeEach(async () => {
  window = new EventTarget();
  page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const server = await Server.start();
  cleanups.push(() => server.remove());
  client = new Client({ url: server.url, userId: "ada", storage: false, webSocket: PageSocket });
  cleanups.push(() => client.close());
  boardId = (await client.call(createBoard, { name: "a board" })).id;
  await client.call(deleteBoard, { boardId });
});

afterEach(async () => {
  vi.useRealTimers();
  for (const clean of cleanups.splice(0).reverse()) {
    await clean();
  }
  vi.unstubAllGlobals();
});

/** Watches, and tells of every answer. */
function watch(): { returned: ReturnType<typeof vi.fn>; asked: ReturnType<typeof vi.spyOn>; end: () => void; answered(): Promise<unknown> } {
  const asked = vi.spyOn(client, "call");
  const returned = vi.fn();
  const end = watchReturn(client, boardId, returned);
  cleanups.push(end);
  return { returned, asked, end, answered: () => Promise.allSettled(asked.mock.results.map((r) => r.value as Promise<unknown>)) };
}

test("a board that is brought back is noticed within some seconds, once", async () => {
  const { returned, asked, answered } = watch();
  vi.advanceTimersByTime(4_000);
  await answered();
  expect(asked).toHaveBeenCalledWith(getBoard, { boardId });
  expect(returned).not.toHaveBeenCalled();
  await client.call(undeleteBoard, { boardId });
  vi.advanceTimersByTime(4_000);
  await vi.waitFor(() => expect(returned).toHaveBeenCalledOnce());
  asked.mockClear();
  vi.advanceTimersByTime(40_000);
  window.dispatchEvent(new Event("focus"));
  expect(asked).not.toHaveBeenCalled();
});

test("a page that nobody sees asks when somebody comes back to it", async () => {
  const { returned, asked } = watch();
  page.visibilityState = "hidden";
  vi.advanceTimersByTime(40_000);
  expect(asked).not.toHaveBeenCalled();
  await client.call(undeleteBoard, { boardId });
  page.visibilityState = "visible";
  window.dispatchEvent(new Event("focus"));
  await vi.waitFor(() => expect(returned).toHaveBeenCalledOnce());
});

test("who has left is not told", async () => {
  const { returned, answered, end } = watch();
  await client.call(undeleteBoard, { boardId });
  window.dispatchEvent(new Event("focus"));
  end();
  await answered();
  expect(returned).not.toHaveBeenCalled();
});
