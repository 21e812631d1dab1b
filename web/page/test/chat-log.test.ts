import { BoardService, Client, FrameError, type Board } from "@collaboard/sdk";
import { afterEach, expect, test } from "vitest";

import { ChatLog, type ChatView } from "../src/chat/log.js";
import { Server } from "../../sdk/test/server.js";
import { PageSocket } from "../../sdk/test/socket.js";
import type {} from "../../sdk/test/build-server.js";

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) {
    await clean();
  }
});

async function serve(): Promise<Server> {
  const server = await Server.start();
  cleanups.push(() => server.remove());
  return server;
}

function connect(url: string, userId: string): Client {
  const client = new Client({ url, userId, displayName: userId.toUpperCase(), storage: false, webSocket: PageSocket, backoff: { shortest: 10, longest: 100 } });
  cleanups.push(() => client.close());
  return client;
}

function open(client: Client, id: string, user: string): { board: Board; log: ChatLog } {
  const board = client.join(id);
  const log = new ChatLog(client, board, user);
  cleanups.push(() => log.close());
  return { board, log };
}

/** Resolves with the first view that is as wanted. */
function until(log: ChatLog, wanted: (view: ChatView) => boolean): Promise<ChatView> {
  return new Promise((resolve) => {
    const off = log.subscribe(look);
    function look(): void {
      if (wanted(log.view())) {
        off();
        resolve(log.view());
      }
    }
    look();
  });
}

const texts = (view: ChatView) => view.messages.map((m) => m.text);

async function boardWith(client: Client, messages: number): Promise<string> {
  const { id } = await client.call(BoardService.method.createBoard, { name: "Chat" });
  for (let n = 1; n <= messages; n++) {
    client.submit(id, { case: "chatMessage", value: { text: `${n}` } });
    client.submit(id, { case: "custom", value: { type: "test", data: new Uint8Array(1) } });
  }
  await client.flush();
  return id;
}

test("the newest page comes first, and older ones up to the beginning", async () => {
  const server = await serve();
  const ada = connect(server.url, "ada");
  const id = await boardWith(ada, 120);
  const { log } = open(connect(server.url, "bob"), id, "bob");

  const first = await until(log, (view) => view.loaded);
  expect(texts(first)).toEqual(Array.from({ length: 50 }, (_, n) => `${n + 71}`));
  expect(first.more).toBe(true);
  expect(first.messages[0]).toMatchObject({ from: "ada", name: "ADA" });

  log.loadOlder();
  const second = await until(log, (view) => view.messages.length > 50);
  expect(second.more).toBe(true);
  log.loadOlder();
  const third = await until(log, (view) => view.messages.length > 100);
  expect(texts(third)).toEqual(Array.from({ length: 120 }, (_, n) => `${n + 1}`));
  expect(third.more).toBe(false);
});

test("an empty chat has no older messages", async () => {
  const server = await serve();
  const ada = connect(server.url, "ada");
  const { log } = open(ada, await boardWith(ada, 0), "ada");
  expect(await until(log, (view) => view.loaded)).toMatchObject({ messages: [], more: false, loading: false });
});

test("a message is there at once, and in the log when it is acked", async () => {
  const server = await serve();
  const ada = connect(server.url, "ada");
  const id = await boardWith(ada, 0);
  const { log } = open(ada, id, "ada");
  const { log: other } = open(connect(server.url, "bob"), id, "bob");
  await Promise.all([until(log, (view) => view.loaded), until(other, (view) => view.loaded)]);

  log.send("hello");
  expect(log.view().messages).toMatchObject([{ text: "hello", seq: 0, from: "ada" }]);
  const sent = await until(log, ({ messages }) => messages[0]!.seq > 0);
  expect(sent.messages).toMatchObject([{ text: "hello", seq: 1 }]);
  const heard = await until(other, ({ messages }) => messages.length > 0);
  expect(heard.messages).toMatchObject([{ text: "hello", seq: 1, from: "ada", name: "ADA", id: sent.messages[0]!.id }]);
});

test("messages wait while the server is away, in their order, and are there once", async () => {
  const server = await serve();
  const ada = connect(server.url, "ada");
  const id = await boardWith(ada, 1);
  const { board, log } = open(ada, id, "ada");
  await until(log, (view) => view.loaded);

  await server.stop("SIGKILL");
  log.send("2");
  log.send("3");
  expect(log.view().messages.map((m) => m.seq > 0)).toEqual([true, false, false]);
  await server.start();
  await ada.flush();
  const view = await until(log, ({ messages }) => messages.every((m) => m.seq > 0));
  expect(texts(view)).toEqual(["1", "2", "3"]);
  expect(board.status.live).toBe(true);
});

test("a message that is refused stays, with the reason, until it is discarded", async () => {
  const server = await serve();
  const ada = connect(server.url, "ada");
  const id = await boardWith(ada, 0);
  const { log } = open(ada, id, "ada");
  await until(log, (view) => view.loaded);
  log.send("x".repeat(16_385)); // a byte more than the contract allows
  const view = await until(log, ({ messages }) => messages[0]!.failed !== undefined);
  expect(view.messages).toMatchObject([{ seq: 0, failed: "The server could not take it." }]);
  await expect(ada.flush()).rejects.toMatchObject({ refused: [expect.any(FrameError)] });
  log.forget(view.messages[0]!.id);
  expect(log.view().messages).toEqual([]);
});

test("a page that could not be loaded is loaded with the next connection", async () => {
  const server = await serve();
  const id = await boardWith(connect(server.url, "ada"), 3);
  const bob = connect(server.url, "bob");
  const board = bob.join(id);
  await board.joined;
  await server.stop("SIGKILL");
  const log = new ChatLog(bob, board, "bob");
  cleanups.push(() => log.close());
  log.loadOlder();
  expect(await until(log, (view) => view.error !== undefined)).toMatchObject({ loaded: false, loading: false });
  await server.start();
  expect(texts(await until(log, (view) => view.loaded))).toEqual(["1", "2", "3"]);
  expect(log.view().error).toBeUndefined();
});
