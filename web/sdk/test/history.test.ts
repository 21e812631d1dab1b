import { expect, test } from "vitest";

import { BoardService, newID, propsFromJson, Replica, StatusCode, type Board, type Client } from "../src/index.js";
import { joined, newBoard, newClient } from "./setup.js";

const {
  deleteSavepoint, getSnapshot, listSavepoints, readLog, restoreBoard, restoreObject, revertFrame, setSavepoint,
} = BoardService.method;

/** A board with one object, whose x was 1, 2 and 3 after frames 1, 2 and 3. */
async function moved(client: Client): Promise<{ board: Board; id: string }> {
  const board = await joined(client, await newBoard(client));
  const id = newID();
  board.submit({ case: "objectCreate", value: { object: { id, kind: "note", x: 1, props: propsFromJson({ text: "hi" }) } } });
  board.submit({ case: "objectUpdate", value: { id, x: 2 } });
  board.submit({ case: "objectUpdate", value: { id, x: 3 } });
  await client.flush();
  return { board, id };
}

test("a moment is a snapshot, or frames that are folded, and a copy does not follow", async () => {
  const client = newClient();
  const { board, id } = await moved(client);
  const snapshot = new Replica();
  (await client.callAll(getSnapshot, { boardId: board.id, atSeq: 2n })).forEach((chunk) => snapshot.load(chunk));
  const folded = new Replica();
  const frames = await client.callAll(readLog, { boardId: board.id, from: { case: "afterSeq", value: 0n }, limit: 2n });
  frames.forEach((frame) => folded.apply(frame));
  expect([folded.seq, snapshot.seq]).toEqual([2, 2]);
  expect([...folded.objects()]).toEqual([...snapshot.objects()]);

  const copy = folded.copy();
  const [last] = await client.callAll(readLog, { boardId: board.id, from: { case: "beforeSeq", value: 0n }, limit: 1n });
  folded.apply(last!);
  expect(folded.object(id)?.x).toBe(3);
  expect([copy.seq, copy.object(id)?.x, copy.stack()[0]?.x]).toEqual([2, 2, 2]);
  copy.apply(last!);
  expect([...copy.objects()]).toEqual([...board.replica!.objects()]);
});

test("a board is brought back to a moment, and from there to the one before, and others hear it", async () => {
  const client = newClient();
  const { board, id } = await moved(client);
  const bob = await joined(newClient({ userId: "bob" }), board.id);
  const frameId = newID();
  const heard = new Promise((resolve) => bob.on("frame", ({ payload }) => payload.case === "objectBatch" && resolve(payload.value.restoredSeq)));
  const { position, changedObjects } = await client.call(restoreBoard, { boardId: board.id, to: { case: "atSeq", value: 1n }, frameId });
  expect([position?.seq, changedObjects]).toEqual([4n, 1n]);
  expect(await heard).toBe(1n);
  expect(bob.replica?.object(id)?.x).toBe(1);
  const again = await client.call(restoreBoard, { boardId: board.id, to: { case: "atSeq", value: 1n }, frameId });
  expect([again.position?.seq, again.changedObjects]).toEqual([4n, 0n]);

  await client.call(restoreBoard, { boardId: board.id, to: { case: "atSeq", value: 3n } });
  await expect.poll(() => bob.replica?.object(id)?.x).toBe(3);
  await expect(client.call(restoreBoard, { boardId: board.id, to: { case: "atSeq", value: 99n } }))
    .rejects.toMatchObject({ code: StatusCode.OutOfRange });
});

test("one object is brought back, and one change is undone", async () => {
  const client = newClient();
  const { board, id } = await moved(client);
  expect(await client.call(restoreObject, { boardId: board.id, objectId: id, to: { case: "atSeq", value: 1n } }))
    .toMatchObject({ changed: true, position: { seq: 4n } });
  await expect.poll(() => board.replica?.object(id)?.x).toBe(1);
  expect(await client.call(revertFrame, { boardId: board.id, seq: 4n })).toMatchObject({ changedObjects: 1n, leftAlone: [] });
  await expect.poll(() => board.replica?.object(id)?.x).toBe(3);
  await expect(client.call(restoreObject, { boardId: board.id, objectId: newID(), to: { case: "atSeq", value: 1n } }))
    .rejects.toMatchObject({ code: StatusCode.NotFound });
});

test("a savepoint is named, named anew, listed and taken away", async () => {
  const client = newClient();
  const { board: { id: boardId } } = await moved(client);
  const names = async () => (await client.call(listSavepoints, { boardId })).savepoints.map(({ seq, name }) => [seq, name]);
  expect(await client.call(setSavepoint, { boardId, seq: 2n, name: "Draft" })).toMatchObject({ seq: 2n, name: "Draft", createdBy: "ada" });
  await client.call(setSavepoint, { boardId, name: "Done" }); // of the head
  await client.call(setSavepoint, { boardId, seq: 2n, name: "First draft" });
  expect(await names()).toEqual([[3n, "Done"], [2n, "First draft"]]);
  await client.call(deleteSavepoint, { boardId, seq: 3n });
  expect(await names()).toEqual([[2n, "First draft"]]);
  await expect(client.call(deleteSavepoint, { boardId, seq: 3n })).rejects.toMatchObject({ code: StatusCode.NotFound });
});
