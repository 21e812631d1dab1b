import { BoardService, Client, newID, StatusCode } from "@collaboard/sdk";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";

import { BoardEdits, type BoardEdit } from "../src/board-edits.js";
import { Network } from "../../sdk/test/network.js";
import { Server } from "../../sdk/test/server.js";
import { PageSocket } from "../../sdk/test/socket.js";
import type {} from "../../sdk/test/build-server.js";

const { createBoard, deleteBoard, getBoard, undeleteBoard, updateBoard } = BoardService.method;
let server: Server;
let network: Network;
let program: Client; // somebody else
let board: string;

beforeEach(async () => {
  server = await Server.start();
  onTestFinished(() => server.remove());
  network = await Network.start(() => server.port);
  onTestFinished(() => network.close());
  program = newClient(server.url);
  board = (await program.call(createBoard, { name: "Plans" })).id;
});

function newClient(url: string): Client {
  const client = new Client({ url, userId: "ada", storage: false, webSocket: PageSocket });
  onTestFinished(() => client.close());
  return client;
}

/** A page that is loaded: it remembers what those before it did. */
function load(): BoardEdits {
  return new BoardEdits(newClient(network.url));
}

function rename(name: string, from = "Plans"): BoardEdit {
  return { kind: "rename", board, name, from };
}

const nothing = () => {};
const nameNow = async () => (await program.call(getBoard, { boardId: board })).name;

/** Does it, and the page is loaded anew before the server has heard of it. */
async function interrupt(edit: BoardEdit): Promise<BoardEdits> {
  const held = await Network.start(() => server.port);
  onTestFinished(() => held.close());
  held.hold();
  void new BoardEdits(newClient(held.url)).run(edit, nothing).catch(nothing);
  return load();
}

test("what is done is under way until it is shown, and is remembered no longer", async () => {
  const edits = load();
  const shown = vi.fn();
  const done = edits.run(rename("Better plans"), (now) => shown(now?.name, edits.running.has(board)));
  expect([edits.running.get(board)?.name, load().interrupted]).toEqual(["Better plans", [rename("Better plans")]]);
  await done;
  expect(shown.mock.calls).toEqual([["Better plans", true]]);
  expect([edits.running.size, load().interrupted]).toEqual([0, []]);
});

test("a page goes on with what the one before it could not end", async () => {
  for (const edit of [rename("Better plans"), { kind: "delete", board, name: "" }, { kind: "undelete", board, name: "" }] as const) {
    const edits = await interrupt(edit);
    expect(edits.interrupted).toEqual([edit]);
    await edits.run(edits.interrupted[0]!, nothing, true);
    expect(load().interrupted).toEqual([]);
    const now = nameNow();
    await (edit.kind === "delete" ? expect(now).rejects.toMatchObject({ code: StatusCode.NotFound }) : expect(now).resolves.toBe("Better plans"));
  }
});

test("a name that somebody else gave meanwhile stays", async () => {
  const edits = await interrupt(rename("Better plans"));
  await program.call(updateBoard, { board: { id: board, name: "Bob's" }, updateMask: { paths: ["name"] } });
  const shown = vi.fn();
  await edits.run(edits.interrupted[0]!, shown, true);
  expect([await nameNow(), shown.mock.calls[0]![0].name, load().interrupted]).toEqual(["Bob's", "Bob's", []]);
});

test("what was done already is no failure", async () => {
  await program.call(deleteBoard, { boardId: board });
  await load().run({ kind: "delete", board, name: "" }, nothing);
  await program.call(undeleteBoard, { boardId: board });
  await load().run({ kind: "undelete", board, name: "" }, nothing);
});

test("the last of several wins, in whatever time they are answered", async () => {
  const edits = load();
  const names = Array.from({ length: 8 }, (_, n) => `Plans ${n}`);
  await Promise.all(names.map((name) => edits.run(rename(name), nothing)));
  expect([await nameNow(), edits.running.size, load().interrupted]).toEqual(["Plans 7", 0, []]);
});

test("while the server is away a name and what brings back are remembered, a delete is not", async () => {
  network.down();
  const edits = load();
  await expect(edits.run(rename("Better plans"), nothing)).rejects.toMatchObject({ code: StatusCode.Unavailable });
  expect([edits.running.size, edits.interrupted]).toEqual([0, [rename("Better plans")]]);
  edits.forget(board);
  expect(edits.interrupted).toEqual([]);
  for (const kind of ["undelete", "delete"] as const) {
    await expect(edits.run({ kind, board, name: "" }, nothing)).rejects.toMatchObject({ code: StatusCode.Unavailable });
    expect(edits.interrupted.map((edit) => edit.kind)).toEqual(kind === "delete" ? [] : ["undelete"]);
  }
});

test("what the server refuses is not remembered", async () => {
  const edits = load();
  await expect(edits.run({ ...rename("x"), board: newID() }, nothing)).rejects.toMatchObject({ code: StatusCode.NotFound });
  await expect(edits.run(rename("x".repeat(300)), nothing)).rejects.toMatchObject({ code: StatusCode.InvalidArgument });
  expect([edits.running.size, edits.interrupted]).toEqual([0, []]);
});
