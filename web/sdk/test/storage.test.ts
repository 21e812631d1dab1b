import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { expect, test, vi } from "vitest";

import { BoardService, formerUsers, newID, type Client, type ClientOptions } from "../src/index.js";
import { encodeRequest } from "../src/frames.js";
import { numbers, say, state } from "./events.js";
import { TestLocks } from "./locks.js";
import { Network } from "./network.js";
import { occupy, storedFrames } from "./rows.js";
import { joined, network, newBoard, newClient, server } from "./setup.js";
import { PageSocket } from "./socket.js";

vi.stubGlobal("IDBKeyRange", IDBKeyRange);

/** One browser profile: what its tabs share, and what they send. */
class Profile {
  readonly storage = { name: "test", indexedDB: new IDBFactory(), locks: new TestLocks() };
  readonly messages: string[][] = []; // durable frames by their texts

  tab(options: Partial<ClientOptions> = {}): Client {
    const { messages } = this;
    class Spy extends PageSocket {
      override send(data: Uint8Array): void {
        const texts = [...Buffer.from(data).toString().matchAll(/«(.*?)»/g)].map(([, text]) => text!);
        messages.push(...(texts.length > 0 ? [texts] : []));
        super.send(data);
      }
    }
    return newClient({ storage: this.storage, webSocket: Spy, ...options });
  }

  get sent(): string[] {
    return this.messages.flat();
  }

  /** How many frames are stored. */
  async frames(): Promise<number> {
    return (await storedFrames(this.storage.indexedDB, "test")).length;
  }
}

const mark = (text: string) => say(`«${text}»`);

/** The ids and texts of a board's log. */
async function log(client: Client, boardId: string): Promise<[id: string, text: string][]> {
  const frames = await client.callAll(BoardService.method.readLog, { boardId });
  return frames.map((f) => [f.id, f.payload.case === "chatMessage" ? f.payload.value.text.slice(1, -1) : ""]);
}

/** Submits frames, and resolves when they are stored. */
async function store(client: Client, board: string, texts: string[]): Promise<string[]> {
  const pending = texts.map((text) => client.submit(board, mark(text)));
  pending.forEach((p) => p.acked.catch(() => {})); // of tabs that end
  await Promise.all(pending.map((p) => p.stored));
  return pending.map((p) => p.id);
}

async function offline(tab: Client, board: string): Promise<void> {
  await joined(tab, board);
  network.down();
  await state(tab, (s) => s.saving === "offline");
}

test("frames are stored while they are not acked", async () => {
  const profile = new Profile();
  const tab = profile.tab();
  const id = await newBoard(tab);
  await offline(tab, id);
  await store(tab, id, numbers(3));
  expect(await profile.frames()).toBe(3);
  network.up();
  await tab.flush();
  await expect.poll(() => profile.frames()).toBe(0);
});

test("a frame that is refused for good is not stored any more", async () => {
  const profile = new Profile();
  const tab = profile.tab();
  const pending = tab.submit(await newBoard(tab), { case: "objectDelete", value: { id: crypto.randomUUID() } });
  await expect(pending.acked).rejects.toThrow("OBJECT_NOT_FOUND");
  await pending.stored;
  await expect.poll(() => profile.frames()).toBe(0);
});

test("a frame that is refused for good is not stored any more while others wait that were stored with it", async () => {
  const profile = new Profile();
  const tab = profile.tab({ window: 1 });
  const id = await newBoard(tab);
  await joined(tab, id);
  tab.on("refused", () => network.down());
  tab.submit(id, { case: "objectDelete", value: { id: newID() } }).acked.catch(() => {});
  await store(tab, id, ["waits"]);
  await state(tab, (s) => s.saving === "offline");
  await expect.poll(() => profile.frames()).toBe(1);
  network.up();
  await expect(tab.flush()).rejects.toThrow("OBJECT_NOT_FOUND");
  expect((await log(tab, id)).map(([, text]) => text)).toEqual(["waits"]);
});

test("who waits does not keep many that were stored with it", async () => {
  const profile = new Profile();
  const tab = profile.tab({ window: 1 });
  const id = await newBoard(tab);
  await joined(tab, id);
  const stored = store(tab, id, numbers(8));
  const two = state(tab, (s) => s.unsaved === 2).then(() => network.down());
  await Promise.all([stored, two]);
  await state(tab, (s) => s.saving === "offline");
  await expect.poll(() => profile.frames()).toBe(tab.state.unsaved);
  expect(tab.state.unsaved).toBeLessThanOrEqual(2);
  network.up();
  await tab.flush();
});

test("frames that an earlier version stored are sent", async () => {
  const profile = new Profile();
  const id = await newBoard(newClient());
  const [opening, frame] = [profile.storage.indexedDB.open("test", 1), newID()];
  opening.onupgradeneeded = () => {
    const rows = opening.result.createObjectStore("frames", { autoIncrement: true });
    rows.createIndex("owner", "owner");
    rows.add({ owner: "gone", id: frame, board: id, body: encodeRequest(frame, id, mark("old")) });
  };
  await new Promise((resolve) => (opening.onsuccess = resolve));
  opening.result.close();

  const tab = profile.tab();
  await tab.flush();
  expect(await log(tab, id)).toEqual([[frame, "old"]]);
  await expect.poll(() => profile.frames()).toBe(0);
});

test("what is submitted together is sent together, and is acked while it cannot be stored yet", async () => {
  const profile = new Profile();
  const tab = profile.tab();
  const id = await newBoard(tab);
  await joined(tab, id);
  const release = await occupy(profile.storage.indexedDB, "test");
  const pending = numbers(3).map((text) => tab.submit(id, mark(text)));
  await Promise.all(pending.flatMap(({ acked, stored }) => [acked, stored]));
  expect(profile.messages).toEqual([numbers(3)]);
  await tab.flush();
  expect(tab.state).toEqual({ saving: "saved", unsaved: 0, kept: true });
  release();
  await tab.close();
  expect(await profile.frames()).toBe(0);
});

test("a frame that was sent and is not acked is stored when the client is closed, and is in the log once", async () => {
  const profile = new Profile();
  const before = profile.tab();
  const id = await newBoard(before);
  await joined(before, id);
  await before.submit(id, mark("a")).acked; // so that there is a pause
  network.swallow();
  const release = await occupy(profile.storage.indexedDB, "test");
  const late = before.submit(id, mark("b"));
  late.acked.catch(() => {});
  await expect.poll(() => profile.sent).toEqual(["a", "b"]);
  const closed = before.close();
  release();
  await Promise.all([closed, late.stored]);
  expect(await profile.frames()).toBe(1);
  network.up();
  network.cut();
  const after = profile.tab();
  after.submit(id, mark("c"));
  await state(after, (s) => s.unsaved === 2);
  await after.flush();
  expect((await log(after, id)).map(([, text]) => text)).toEqual(["a", "b", "c"]);
});

test("pages that come and go while the network breaks leave everything in the log once, in order", async () => {
  const profile = new Profile();
  const id = await newBoard(newClient());
  network.delay = () => 3 * Math.random();
  const all = numbers(300);
  for (let at = 0; at < all.length; at += 30) {
    const tab = profile.tab();
    if (at % 60 === 0) {
      await joined(tab, id);
    }
    const submitted: Promise<unknown>[] = [];
    for (const text of all.slice(at, at + 30)) {
      const { acked, stored } = tab.submit(id, mark(text));
      acked.catch(() => {});
      submitted.push(stored);
      if (Math.random() < 0.5) {
        await stored;
      }
      if (Math.random() < 0.05) {
        network.cut();
      }
    }
    await tab.close();
    await Promise.all(submitted);
  }
  network.delay = undefined;
  const last = profile.tab();
  await last.flush();
  expect((await log(last, id)).map(([, text]) => text)).toEqual(all);
  await expect.poll(() => profile.frames()).toBe(0);
});

test("frames survive a reload: the same ids, in the same order, before what is new", async () => {
  const profile = new Profile();
  const before = profile.tab();
  const id = await newBoard(before);
  await offline(before, id);
  const ids = await store(before, id, numbers(50));
  await before.close();
  expect(await profile.frames()).toBe(50);

  const after = profile.tab();
  after.submit(id, mark("new"));
  await state(after, (s) => s.unsaved === 51);
  network.up();
  await after.flush();
  const entries = await log(after, id);
  expect(entries.map(([, text]) => text)).toEqual([...numbers(50), "new"]);
  expect(entries.slice(0, 50).map(([frame]) => frame)).toEqual(ids);
  await expect.poll(() => profile.frames()).toBe(0);
});

test("a board knows the frames that are not durable yet, those from before a reload first", async () => {
  const profile = new Profile();
  const before = profile.tab();
  const [id, other] = [await newBoard(before), await newBoard(before)];
  await offline(before, id);
  await store(before, id, ["a", "b"]);
  await before.close();

  const after = profile.tab();
  const board = after.join(id);
  after.submit(other, mark("elsewhere"));
  after.submit(id, mark("c"));
  await state(after, (s) => s.unsaved === 4);
  const unsaved = board.unsaved();
  expect(unsaved.map(({ payload }) => payload)).toMatchObject(["a", "b", "c"].map(mark));
  network.up();
  await Promise.all(unsaved.map(({ settled }) => settled));
  expect(board.unsaved()).toEqual([]);
});

test("frames that are removed are the tab's own, however many at once, and in whatever order they are acked", async () => {
  const profile = new Profile();
  const tabs = [profile.tab(), profile.tab(), profile.tab()];
  const [stays, ...boards] = await Promise.all(tabs.map(() => newBoard(tabs[0]!)));
  const lost = await Network.start(() => server.port);
  const offline = profile.tab({ url: lost.url });
  await joined(offline, stays!);
  lost.down();
  await state(offline, (s) => s.saving === "offline");
  const own: string[] = [];
  for (const n of numbers(30)) { // each a row of its own, those of the tabs in turns
    await store(tabs[1]!, boards[Number(n) % 2]!, [n]);
    if (Number(n) % 5 === 0) {
      own.push(...await store(offline, stays!, [n]));
    }
  }
  await tabs[1]!.flush();
  await expect.poll(() => profile.frames()).toBe(own.length);
  lost.up();
  await offline.flush();
  expect((await log(offline, stays!)).map(([id]) => id)).toEqual(own);
  await expect.poll(() => profile.frames()).toBe(0);
  lost.close();
});

test("tabs leave the frames of living tabs alone", async () => {
  const profile = new Profile();
  const tabs = [profile.tab()];
  const id = await newBoard(tabs[0]!);
  await offline(tabs[0]!, id);
  await store(tabs[0]!, id, ["a1", "a2"]);
  tabs.push(profile.tab());
  await store(tabs[1]!, id, ["b1", "b2"]);
  expect(tabs.map((tab) => tab.state.unsaved)).toEqual([2, 2]);
  network.up();
  await Promise.all(tabs.map((tab) => tab.flush()));
  expect([...profile.sent].sort()).toEqual(["a1", "a2", "b1", "b2"]); // each once
  expect((await log(tabs[0]!, id)).length).toBe(4);
});

test("a tab that lives takes over from one that crashes", async () => {
  const profile = new Profile();
  const lost = await Network.start(() => server.port); // the crashed tab's, which never comes back
  const crashes = profile.tab({ url: lost.url });
  const id = await newBoard(crashes);
  await joined(crashes, id);
  lost.down();
  await state(crashes, (s) => s.saving === "offline");
  await store(crashes, id, numbers(3));
  const [lock] = profile.storage.locks.held();

  const lives = profile.tab();
  await lives.flush();
  expect(lives.state.unsaved).toBe(0);
  const took = state(lives, (s) => s.unsaved === 3);
  profile.storage.locks.kill(lock!);
  await took;
  await lives.flush();
  expect((await log(lives, id)).map(([, text]) => text)).toEqual(numbers(3));
  await expect.poll(() => profile.frames()).toBe(0);
  lost.close();
});

test("without Web Locks a frame may be sent twice, and is in the log once", async () => {
  const profile = new Profile();
  const { locks: _, ...storage } = profile.storage;
  const first = profile.tab({ storage });
  const id = await newBoard(first);
  await offline(first, id);
  await store(first, id, numbers(5));
  const second = profile.tab({ storage });
  await state(second, (s) => s.unsaved === 5);
  network.up();
  await Promise.all([first.flush(), second.flush()]);
  expect((await log(first, id)).map(([, text]) => text)).toEqual(numbers(5));
});

test("where nothing can be stored frames are sent all the same, and it is told", async () => {
  const failing = { open: () => { throw new Error("no storage here"); } } as unknown as IDBFactory;
  const client = newClient({ storage: { indexedDB: failing } });
  const told = new Promise((resolve) => client.on("storageError", resolve));
  const pending = client.submit(await newBoard(client), say("x"));
  await pending.acked;
  expect(await told).toMatchObject({ message: "no storage here" });
  expect(client.state.kept).toBe(false);
});

test("frames of a store that somebody deletes are not said to be kept", async () => {
  const profile = new Profile();
  const client = profile.tab();
  const id = await newBoard(client);
  await offline(client, id);
  await store(client, id, numbers(1));
  expect(client.state).toEqual({ saving: "offline", unsaved: 1, kept: true });
  const told = state(client, (s) => !s.kept);
  profile.storage.indexedDB.deleteDatabase("test");
  await told;
  network.up();
  await client.flush();
});

test("who left frames is known by their database", async () => {
  const indexedDB = new IDBFactory();
  const of = (user: string, url = server.url) => newClient({ url, storage: { indexedDB }, userId: user });
  const [user, other] = [newID(), newID()];
  await joined(of(user), await newBoard(of(user)));
  await of(other, "http://127.0.0.1:1").close();
  expect(await formerUsers(server.url, indexedDB)).toEqual([user]);
});
