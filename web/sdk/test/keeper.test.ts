import { IDBFactory, IDBKeyRange, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { encodeRequest } from "../src/frames.js";
import { newID } from "../src/ids.js";
import { Keeper } from "../src/keeper.js";
import { newEntry, type Entry } from "../src/outbox.js";
import { say } from "./events.js";
import { occupy, storedFrames } from "./rows.js";

vi.stubGlobal("IDBKeyRange", IDBKeyRange);

let indexedDB: IDBFactory;
let keeper: Keeper;
let failures: unknown[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  indexedDB = new IDBFactory();
  failures = [];
  const handler = { adopt: () => {}, failed: (error: unknown) => void failures.push(error) };
  keeper = new Keeper({ url: "http://127.0.0.1", storage: { name: "test", indexedDB } }, handler, () => false);
  await keeper.opened;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await keeper.close();
  vi.useRealTimers();
});

interface Submitted {
  readonly entry: Entry;
  readonly id: string;
  readonly stored: Promise<void>;
}

/** Gives entries to the keeper in one turn. */
function store(n = 1): Submitted[] {
  return Array.from({ length: n }, () => {
    const [id, board] = [newID(), newID()];
    const { entry, pending } = newEntry(id, board, encodeRequest(id, board, say("x")));
    keeper.store(entry);
    return { entry, id, stored: pending.stored };
  });
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
const frames = () => storedFrames(indexedDB, "test"); // which waits for what the keeper asked of the database before

/** Has the keeper store something that is answered then, as what is submitted fast is. */
async function answerOne(): Promise<void> {
  const [one] = store();
  await one!.stored;
  await nextTurn();
  keeper.remove(one!.entry, false);
}

test("what is answered before it was its turn is not stored", async () => {
  const release = await occupy(indexedDB, "test");
  const [first] = store();
  await nextTurn(); // its transaction waits for the database
  const [acked, refused, last] = store(3);
  keeper.remove(acked!.entry, false);
  keeper.remove(refused!.entry, true);
  await Promise.all([acked!.stored, refused!.stored]);
  release();
  await first!.stored;
  expect(await frames()).toEqual([first!.id]); // answers came: there is a pause
  await keeper.close();
  await last!.stored;
  expect(await frames()).toEqual([first!.id, last!.id]);
});

test("what is acked while it is stored is taken out", async () => {
  const release = await occupy(indexedDB, "test");
  const [acked] = store();
  await nextTurn();
  keeper.remove(acked!.entry, false);
  await acked!.stored;
  const [last] = store();
  release();
  await keeper.close();
  await last!.stored;
  expect(await frames()).toEqual([last!.id]);
});

test("what is refused for good while it is stored is taken out at once, and what was stored with it stays", async () => {
  const release = await occupy(indexedDB, "test");
  const all = store(8);
  const [refused, ...others] = all;
  await nextTurn();
  keeper.remove(refused!.entry, true);
  release();
  expect(await frames()).toEqual(all.map(({ id }) => id));
  expect(await frames()).toEqual(others.map(({ id }) => id)); // though no timer has fired
});

test("while answers come a transaction is followed by a pause, and what is answered in it needs none", async () => {
  await answerOne();
  const before = await frames();
  const [acked, waits] = [...store(), ...store()];
  keeper.remove(acked!.entry, false);
  await acked!.stored;
  await nextTurn();
  expect(await frames()).toEqual(before);
  vi.advanceTimersByTime(10);
  await waits!.stored;
  expect(await frames()).toEqual([...before, waits!.id]);
});

test("after the pause what is submitted is stored at once, though no timer fires in a page that is not shown", async () => {
  await answerOne();
  vi.spyOn(performance, "now").mockReturnValue(performance.now() + 10);
  await store()[0]!.stored;
});

test("where no answers come any more everything is stored at once", async () => {
  await answerOne();
  vi.advanceTimersByTime(10);
  const ids = await frames();
  for (let n = 0; n < 3; n++) {
    const [one] = store();
    ids.push(one!.id);
    await one!.stored;
    await nextTurn();
  }
  expect(await frames()).toEqual(ids);
});

test("what waits for the pause is stored before the keeper is closed", async () => {
  await answerOne();
  const waits = store(2);
  await keeper.close();
  await Promise.all(waits.map(({ stored }) => stored));
  expect(await frames()).toEqual(waits.map(({ id }) => id));
});

test("what could not be stored leaves nothing behind when it is answered", async () => {
  vi.spyOn(IDBObjectStore.prototype, "add").mockImplementationOnce(() => {
    throw new Error("no room");
  });
  const all = store(8);
  await Promise.all(all.map(({ stored }) => stored));
  expect([keeper.keeps, failures]).toMatchObject([false, [{ message: "no room" }]]);
  all.slice(1).forEach(({ entry }) => keeper.remove(entry, true));
  await keeper.close();
  expect(await frames()).toEqual([]);
});
