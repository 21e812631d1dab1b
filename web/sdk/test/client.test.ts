import { describe, expect, test } from "vitest";

import {
  BoardService, ErrorCode, FlushError, FrameError, LeftError, newID, OutboxFullError, propsFromJson, StatusCode, StatusError,
  type BoardObject,
} from "../src/index.js";
import { chat, event, numbers, say, state } from "./events.js";
import { joined, network, newBoard, newClient } from "./setup.js";

describe("calls", () => {
  test("boards are made, found, and their logs are read", async () => {
    const client = newClient();
    const id = await newBoard(client);
    expect(await client.call(BoardService.method.getBoard, { boardId: id })).toMatchObject({ name: "a board", owner: "ada" });
    numbers(3).forEach((text) => client.submit(id, say(text)));
    await client.flush();
    const log = await client.callAll(BoardService.method.readLog, { boardId: id });
    expect(log.map((f) => f.payload.case === "chatMessage" && f.payload.value.text)).toEqual(["1", "2", "3"]);
  });

  test("a call fails with the status of the server", async () => {
    const call = newClient().call(BoardService.method.getBoard, { boardId: newID() });
    await expect(call).rejects.toBeInstanceOf(StatusError);
    await expect(call).rejects.toMatchObject({ code: StatusCode.NotFound });
  });

  test("names that are not ASCII arrive", async () => {
    const client = newClient({ userId: "Ада 1%", displayName: "Ünal" });
    const board = await joined(client, await newBoard(client));
    expect(board.members).toMatchObject([{ userId: "Ада 1%", displayName: "Ünal", connectionId: client.connectionId }]);
  });
});

test("what one submits the others see, in order", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const seen = chat(await joined(bob, id));
  const own = await joined(ada, id);
  const acks = await Promise.all(numbers(1000).map((text) => own.submit(say(text)).acked));
  expect(acks.map((ack) => ack.seq)).toEqual(numbers(1000).map(Number));
  expect(own.position?.seq).toBe(1000); // an ack means that the replica has the frame
  expect(ada.state).toEqual({ saving: "saved", unsaved: 0, kept: false });
  bob.submit(id, say("last"));
  await bob.flush();
  expect(seen).toEqual([...numbers(1000), "last"]);
});

test("a frame that is refused for good is left out, and told", async () => {
  const client = newClient();
  const board = await joined(client, await newBoard(client));
  const seen = chat(board);
  const told: FrameError[] = [];
  client.on("refused", (error) => void told.push(error));
  board.submit(say("before"));
  const missing = board.submit({ case: "objectDelete", value: { id: newID() } });
  board.submit(say("after"));
  await expect(missing.acked).rejects.toMatchObject({ name: "FrameError", code: ErrorCode.OBJECT_NOT_FOUND });
  const flushed = client.flush();
  await expect(flushed).rejects.toBeInstanceOf(FlushError);
  await expect(flushed).rejects.toMatchObject({ refused: [{ frame: missing.id }] });
  await client.flush(); // it is told once
  expect(told.map((error) => error.frame)).toEqual([missing.id]);
  expect(seen).toEqual(["before", "after"]);
});

test("frames that could never be sent are refused at once", async () => {
  const client = newClient({ outbox: { frames: 1, bytes: 1 << 20 } });
  const id = await newBoard(client);
  const data = new Uint8Array(1 << 20);
  expect(() => client.submit(id, { case: "custom", value: { type: "t", data } })).toThrow(FrameError);
  expect(() => client.submit("x", say("x"))).toThrow(TypeError);
  client.submit(id, say("1"));
  expect(() => client.submit(id, say("2"))).toThrow(OutboxFullError);
  await client.flush();
  client.submit(id, say("2"));
  await client.flush();
});

test("ephemeral signals reach the others, and not their sender", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const [a, b] = [await joined(ada, id), await joined(bob, id)];
  a.on("signal", () => expect.unreachable());
  const cursor = event(b, "signal");
  a.signal({ case: "cursorMove", value: { x: 1, y: 2 } });
  expect(await cursor).toMatchObject({
    from: "ada", connectionId: ada.connectionId, payload: { case: "cursorMove", value: { x: 1, y: 2 } },
  });
});

test("who is on a board is known", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const a = await joined(ada, id);
  const came = event(a, "members", (members) => members.length === 2);
  const b = await joined(bob, id);
  expect((await came).map((m) => m.userId)).toEqual(["ada", "bob"]);
  const left = event(a, "members", (members) => members.length === 1);
  b.leave();
  expect(b.error).toBeInstanceOf(LeftError);
  await left;
  const again = await joined(bob, id);
  expect(again.members).toHaveLength(2);
});

test("a board that does not exist, or is deleted, ends", async () => {
  const client = newClient();
  await expect(client.join(newID()).joined).rejects.toMatchObject({ code: ErrorCode.BOARD_NOT_FOUND });
  const id = await newBoard(client);
  const board = await joined(client, id);
  const end = event(board, "end");
  await client.call(BoardService.method.deleteBoard, { boardId: id });
  expect(await end).toMatchObject({ code: ErrorCode.BOARD_NOT_FOUND });
  expect(() => client.join(id)).not.toThrow();
});

test("a replica that follows is equal to one that is loaded", async () => {
  const [ada, bob] = [newClient(), newClient({ userId: "bob" })];
  const id = await newBoard(ada);
  const follower = await joined(bob, id);
  const ids = numbers(300).map(() => newID());
  const pick = (i: number) => ids[(i * 7) % ids.length]!;
  for (const object of ids) {
    ada.submit(id, { case: "objectCreate", value: { object: { id: object, kind: "note", props: propsFromJson({ n: 0, a: [1, { b: null }] }) } } });
  }
  await ada.flush();
  for (let i = 0; i < 500; i++) {
    const props = propsFromJson({ n: i % 5 === 0 ? null : i, [`k${i % 3}`]: "x" });
    const update = { id: pick(i), x: i, ...(i % 4 === 0 && { zIndex: "" }), ...(i % 9 === 0 && { deleted: false }), props };
    ada.submit(id, { case: "objectUpdate", value: update });
    if (i % 11 === 0) {
      ada.submit(id, { case: "objectDelete", value: { id: pick(i) } });
    }
    if (i % 50 === 0) {
      const ops = [pick(i), pick(i + 1)].map((object) => ({ op: { case: "update", value: { id: object, y: i } } }) as const);
      bob.submit(id, { case: "objectBatch", value: { ops } });
    }
  }
  await Promise.all([ada.flush(), bob.flush()]);
  const loaded = await joined(ada, id);
  if (follower.position!.seq < loaded.position!.seq) {
    await event(follower, "frame", (f) => Number(f.seq) === loaded.position!.seq);
  }
  const all = (objects: Iterable<BoardObject>) => [...objects].sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(all(follower.replica!.objects())).toEqual(all(loaded.replica!.objects()));
  expect(follower.replica!.stack().map((o) => o.id)).toEqual(loaded.replica!.stack().map((o) => o.id));
  expect(loaded.replica!.stack().length).toBeGreaterThan(200);
  expect(loaded.replica!.stack().length).toBeLessThan(300);
});

test("joining from a position gives what came after it", async () => {
  const client = newClient();
  const id = await newBoard(client);
  numbers(5).forEach((text) => client.submit(id, say(text)));
  await client.flush();
  const whole = client.join(id, { from: { epoch: "", seq: 0 } });
  const all = chat(whole);
  await event(whole, "frame", (f) => f.seq === 5n);
  expect(all).toEqual(numbers(5));
  const epoch = whole.position!.epoch;
  whole.leave();
  const rest = client.join(id, { from: { epoch, seq: 3 } });
  const texts = chat(rest);
  await event(rest, "frame", (f) => f.seq === 5n);
  expect(texts).toEqual(["4", "5"]);
  expect(rest.replica).toBeUndefined();
});

test("a position that the log does not have is told", async () => {
  const client = newClient();
  const board = client.join(await newBoard(client), { from: { epoch: newID(), seq: 7 } });
  const resync = await event(board, "resync");
  expect(resync).toMatchObject({ from: { seq: 7 }, to: { seq: 0 }, error: undefined });
});

test("the state follows, and close is the end", async () => {
  const client = newClient();
  expect(client.state).toEqual({ saving: "offline", unsaved: 0, kept: false });
  const board = await joined(client, await newBoard(client));
  const states: string[] = [];
  client.on("state", (s) => void states.push(`${s.saving} ${s.unsaved}`));
  network.down();
  await state(client, (s) => s.saving === "offline");
  const pending = board.submit(say("x"));
  expect(client.state).toEqual({ saving: "offline", unsaved: 1, kept: false });
  await client.close();
  await expect(pending.acked).rejects.toThrow("closed");
  expect(states).toEqual(["offline 0", "offline 1", "closed 0"]);
  expect(() => board.submit(say("y"))).toThrow("closed");
});

test("a server that is no server is tried again, and says why", async () => {
  const client = newClient({ url: "http://127.0.0.1:1" });
  client.join(newID());
  await expect.poll(() => client.lastError).toMatchObject({ code: StatusCode.Unavailable });
  expect(client.error).toBeUndefined();
});
