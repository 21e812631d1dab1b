import { afterEach, expect, test, vi } from "vitest";

import { chat, event, numbers, say, state } from "./events.js";
import { joined, network, newBoard, newClient, server } from "./setup.js";

afterEach(() => vi.unstubAllGlobals());

/** What tells clients whether the platform is online. */
function stubPlatform(): EventTarget {
  const platform = new EventTarget();
  vi.stubGlobal("addEventListener", platform.addEventListener.bind(platform));
  vi.stubGlobal("removeEventListener", platform.removeEventListener.bind(platform));
  return platform;
}

test("frames come once, in order, without gaps, across connections that break", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const board = await joined(bob, id);
  const seen = chat(board);
  const resyncs = vi.fn();
  board.on("resync", resyncs);
  const all = numbers(1500);
  for (let at = 0; at < all.length; at += 150) {
    const pending = all.slice(at, at + 150).map((text) => ada.submit(id, say(text)));
    await pending[20]!.acked;
    network.cut(); // with frames in flight, both ways
  }
  await ada.flush();
  if (board.position!.seq < all.length || !board.status.live) {
    await event(board, "frame", (f) => Number(f.seq) === all.length);
  }
  expect(seen).toEqual(all);
  expect(board.status.desyncs).toBe(0);
  expect(resyncs).not.toHaveBeenCalled();
});

test.each(["SIGTERM", "SIGKILL"] as const)("a server that ends by %s and comes back has everything, once", async (signal) => {
  const client = newClient();
  const id = await newBoard(client);
  const board = await joined(client, id);
  const seen = chat(board);
  const first = numbers(400).map((text) => board.submit(say(text)));
  await first[100]!.acked;
  await server.stop(signal);
  await state(client, (s) => s.saving === "offline");
  board.submit(say("offline"));
  await server.start();
  await client.flush();
  expect(seen).toEqual([...numbers(400), "offline"]);
  expect(client.state).toEqual({ saving: "saved", unsaved: 0, kept: false });
});

test("a network that swallows everything is noticed, and left for another connection", async () => {
  const client = newClient({ heartbeat: { interval: 40, timeout: 150 } });
  const board = await joined(client, await newBoard(client));
  const before = client.connectionId;
  network.swallow();
  await state(client, (s) => s.saving === "offline");
  expect(client.lastError?.message).toBe("the server has fallen silent");
  const back = event(board, "status", (s) => s.live);
  network.up();
  await back;
  expect(client.connectionId).not.toBe(before);
  await board.submit(say("x")).acked;
});

test("when the platform is offline, a connection that does not answer is given up at once", async () => {
  const platform = stubPlatform();
  const client = newClient(); // its heartbeat would take half a minute
  await joined(client, await newBoard(client));
  network.swallow();
  platform.dispatchEvent(new Event("offline"));
  await state(client, (s) => s.saving === "offline");
  expect(client.lastError?.message).toBe("the server has fallen silent");
});

test("when the platform is offline, a connection that answers stays", async () => {
  const platform = stubPlatform();
  const client = newClient();
  const board = await joined(client, await newBoard(client));
  const lost = vi.fn();
  board.on("status", lost);
  platform.dispatchEvent(new Event("offline"));
  await new Promise((resolve) => setTimeout(resolve, 2200)); // what must not happen would be after 2 s
  expect(lost).not.toHaveBeenCalled();
});

test("pings keep an idle connection", async () => {
  const client = newClient({ heartbeat: { interval: 20, timeout: 500 } });
  const other = newClient({ heartbeat: { interval: 60_000, timeout: 10_000 } });
  const id = await newBoard(client);
  const board = await joined(client, id);
  await joined(other, id);
  const made = network.connections;
  const lost = vi.fn();
  board.on("status", lost);
  await new Promise((resolve) => setTimeout(resolve, 1500)); // the silence itself is what is tested
  expect(lost).not.toHaveBeenCalled();
  expect(network.connections).toBe(made);
});

test("a server that is away is tried again until it is back", async () => {
  const client = newClient({ backoff: { shortest: 20, longest: 400 } });
  const board = await joined(client, await newBoard(client));
  network.down();
  const before = network.connections;
  await expect.poll(() => network.connections - before, { timeout: 5000 }).toBeGreaterThanOrEqual(5);
  network.up();
  await event(board, "status", (s) => s.live);
});

test("who came and left meanwhile is known after a reconnect", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const board = await joined(ada, id);
  await joined(bob, id);
  network.down();
  await state(ada, (s) => s.saving === "offline");
  await bob.close();
  const members = event(board, "members", (m) => m.length === 1);
  network.up();
  expect((await members).map((m) => m.userId)).toEqual(["ada"]);
});
