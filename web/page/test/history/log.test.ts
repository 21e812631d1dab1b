import { BoardService, Client, newID, Replica, type Board, type BoardObject } from "@collaboard/sdk";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

import { HistoryLog, type HistoryView } from "../../src/history/log.js";
import { bringBack, bringObjectBack } from "../../src/history/restore.js";
import { Server } from "../../../sdk/test/server.js";
import { PageSocket } from "../../../sdk/test/socket.js";
import type {} from "../../../sdk/test/build-server.js";

const { createBoard, getBoard, getSnapshot } = BoardService.method;
const server = new Server();
const cleanups: (() => unknown)[] = [];

beforeAll(() => server.start());
afterAll(() => server.remove());
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) {
    await clean();
  }
});

/** A client that counts its calls, and can tell of a log that was trimmed. */
class Counted {
  readonly calls: string[] = [];
  most = 0; // at the same time
  firstSeq: bigint | undefined;
  #running = 0;

  constructor(readonly client: Client) {}

  readonly call: Client["call"] = async (method, request) => {
    const answer = await this.#count(method.name, this.client.call(method, request));
    const board = method.name === "GetBoardUsage" ? (answer as unknown as { board: { firstSeq: bigint } }).board : answer as unknown as { firstSeq: bigint };
    board.firstSeq = this.firstSeq ?? board.firstSeq;
    return answer;
  };

  readonly callAll: Client["callAll"] = (method, request) => this.#count(method.name, this.client.callAll(method, request));

  async #count<T>(name: string, call: Promise<T>): Promise<T> {
    this.calls.push(name);
    this.most = Math.max(this.most, ++this.#running);
    try {
      return await call;
    } finally {
      this.#running--;
    }
  }
}

function connect(userId = "ada"): Client {
  const client = new Client({ url: server.url, userId, storage: false, webSocket: PageSocket });
  cleanups.push(() => client.close());
  return client;
}

/** A board of 40 objects after changes frames, of which every fifth is about something else. */
async function boardOf(client: Client, changes: number): Promise<Board> {
  const { id } = await client.call(createBoard, { name: "History" });
  const ids = Array.from({ length: 40 }, () => newID());
  for (let n = 0; n < changes; n++) {
    const object = ids[n % 40]!;
    client.submit(id, n >= 40 && n % 5 === 0 ? { case: "chatMessage", value: { text: `${n}` } }
      : n < 40 ? { case: "objectCreate", value: { object: { id: object, kind: "note", x: n } } }
      : n % 7 === 0 ? { case: "objectUpdate", value: { id: object, deleted: n % 2 === 0 } }
      : { case: "objectUpdate", value: { id: object, x: n } });
  }
  await client.flush();
  const board = client.join(id);
  await board.joined;
  return board;
}

function open(client: Counted, board: Board): HistoryLog {
  const log = new HistoryLog(client, board);
  cleanups.push(() => log.close());
  return log;
}

/** Resolves with the first view that is as wanted. */
function until(log: HistoryLog, wanted: (view: HistoryView) => boolean): Promise<HistoryView> {
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

const shown = (log: HistoryLog, seq: number) => until(log, ({ moment, loading }) => !loading && moment?.seq === seq);
const content = (objects: Iterable<BoardObject>) => [...objects].sort((a, b) => (a.id < b.id ? -1 : 1));

async function snapshot(client: Client, board: Board, seq: number): Promise<BoardObject[]> {
  const replica = new Replica();
  (await client.callAll(getSnapshot, { boardId: board.id, atSeq: BigInt(seq) })).forEach((chunk) => replica.load(chunk));
  return content(replica.objects());
}

test("any moment is what the server says of it, whichever way one comes to it, and soon without a call", async () => {
  const client = connect();
  const board = await boardOf(client, 1_700);
  const counted = new Counted(client);
  const log = open(counted, board);
  expect(log.view()).toMatchObject({ seq: 1_700, now: true, loading: false });
  const way = [1_601, 1_599, 40, 41, 700, 500, 501, 1_000, 1_001, 999, 1, 1_699];
  for (const seq of way) { // some while all is being loaded
    log.go(seq);
    const { moment } = await shown(log, seq);
    expect(content(moment!.replica.objects()), `at ${seq}`).toEqual(await snapshot(client, board, seq));
  }
  const { runs } = await until(log, ({ more, runs }) => !more && runs.length === 1);
  expect(runs[0]).toHaveLength(40 + 1_660 * 4 / 5);
  expect(counted.most).toBe(1);

  const before = counted.calls.length;
  for (const seq of way.reverse()) {
    log.go(seq);
    expect(log.view().moment!.seq).toBe(seq);
    expect(content(log.view().moment!.replica.objects()), `at ${seq}`).toEqual(await snapshot(client, board, seq));
  }
  expect(counted.calls.length).toBe(before);
  expect(log.view().moment).toMatchObject({ change: { seq: 1_600, from: "ada" }, objects: [expect.any(String)] });
});

test("the newest wish is the next, and those before are forgotten", async () => {
  const client = connect();
  const board = await boardOf(client, 2_600);
  const counted = new Counted(client);
  const log = open(counted, board);
  const seen = new Set<number>();
  log.subscribe(() => seen.add(log.view().moment!.seq));
  [100, 600, 1_100, 2_100].forEach((seq) => log.go(seq));
  const { moment } = await shown(log, 2_100);
  expect([...seen].sort()).toEqual([2_100, 2_600]);
  expect(content(moment!.replica.objects())).toEqual(await snapshot(client, board, 2_100));
  expect(counted.most).toBe(1);
});

test("the newest moment follows the log, another one stays, and what comes is part of the history", async () => {
  const client = connect();
  const board = await boardOf(client, 498);
  const counted = new Counted(client);
  const log = open(counted, board);
  await until(log, ({ more }) => !more);
  log.go(450);
  const bob = connect("bob");
  const id = newID();
  for (let x = 1; x <= 6; x++) {
    bob.submit(board.id, x === 1 ? { case: "objectCreate", value: { object: { id, kind: "text" } } } : { case: "objectUpdate", value: { id, x } });
  }
  const { moment, runs } = await until(log, ({ head }) => head === 504);
  expect([moment!.seq, moment!.replica.object(id)]).toEqual([450, undefined]);
  expect(runs.at(-1)!.slice(-6).map(({ seq, from }) => [seq, from])).toEqual([499, 500, 501, 502, 503, 504].map((seq) => [seq, "bob"]));
  const calls = counted.calls.length;
  log.go(502); // in a page that came by itself
  expect(content(log.view().moment!.replica.objects())).toEqual(await snapshot(client, board, 502));
  log.go(504);
  expect(log.view()).toMatchObject({ now: true, seq: 504 });
  bob.submit(board.id, { case: "objectDelete", value: { id } });
  expect((await until(log, ({ moment }) => moment?.seq === 505)).moment!.replica.object(id)).toMatchObject({ deleted: true });
  expect(counted.calls.length).toBe(calls);
});

test("a log that was trimmed begins with a snapshot", async () => {
  const client = connect();
  const board = await boardOf(client, 1_200);
  const counted = new Counted(client);
  counted.firstSeq = 300n;
  const log = open(counted, board);
  await until(log, ({ more }) => !more);
  expect(log.view().first).toBe(300);
  log.go(1);
  for (const seq of [300, 301, 1_100, 520]) {
    log.go(seq);
    expect(content((await shown(log, seq)).moment!.replica.objects()), `at ${seq}`).toEqual(await snapshot(client, board, seq));
  }
});

test("after an error it goes on where it was", async () => {
  const client = connect();
  const board = await boardOf(client, 60);
  const counted = new Counted(client);
  let broken = true;
  const log = open(Object.assign(counted, {
    callAll: ((method, request) => broken ? Promise.reject(new Error("no")) : client.callAll(method, request)) satisfies Client["callAll"],
  }), board);
  log.go(50);
  expect(await until(log, ({ error }) => error !== undefined)).toMatchObject({ loading: false, seq: 50 });
  broken = false;
  log.retry();
  expect(await shown(log, 50)).toMatchObject({ error: undefined });
});

test("a board is brought back, and the moment before that undoes it, though frames came before and after", async () => {
  const client = connect();
  const board = await boardOf(client, 60);
  const { headSeq } = await client.call(getBoard, { boardId: board.id });
  const frameId = newID();
  const before = await bringBack(client, board.id, 45, frameId);
  expect(before).toBe(Number(headSeq));
  expect(await bringBack(client, board.id, 45, frameId)).toBe(before); // the answer was lost
  expect(await bringBack(client, board.id, 45, newID())).toBeUndefined(); // there is nothing to do
  expect(fieldsOf(await snapshot(client, board, 0))).toEqual(fieldsOf(await snapshot(client, board, 45)));
  await bringBack(client, board.id, before!, newID());
  expect(fieldsOf(await snapshot(client, board, 0))).toEqual(fieldsOf(await snapshot(client, board, 60)));

  const id = (await snapshot(client, board, 1))[0]!.id;
  const object = async (seq: number) => fieldsOf((await snapshot(client, board, seq)).filter((o) => o.id === id));
  client.submit(board.id, { case: "objectUpdate", value: { id, x: 1_000, deleted: false } });
  await client.flush();
  const undo = await bringObjectBack(client, board.id, id, 1, newID());
  expect(await object(0)).toEqual(await object(1));
  expect(await bringObjectBack(client, board.id, id, 1, newID())).toBeUndefined();
  await bringObjectBack(client, board.id, id, undo!, newID());
  expect(await object(0)).toMatchObject([{ x: 1_000, deleted: false }]);
});

/** What a restore brings back; those that were not there are deleted. */
function fieldsOf(objects: readonly BoardObject[]) {
  return objects.filter((o) => !o.deleted).map(({ id, kind, x, deleted }) => ({ id, kind, x, deleted }));
}
