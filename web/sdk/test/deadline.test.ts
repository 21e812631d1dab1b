import { create, toBinary } from "@bufbuild/protobuf";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocketServer } from "ws";

import { encodeUnary } from "../src/framing.js";
import { BoardService, GetFileResponseSchema, newID, StatusCode } from "../src/index.js";
import { network, newClient } from "./setup.js";

const { createBoard, getBoard, getFile, readLog, uploadFile } = BoardService.method;
const tooLate = { name: "StatusError", code: StatusCode.DeadlineExceeded };

/** A server that says nothing. */
let silent: WebSocketServer;
let silentURL: string;

beforeEach(async () => {
  silent = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "grpc-websockets" });
  await once(silent, "listening");
  silentURL = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
});

afterEach(() => {
  vi.useRealTimers();
  silent.close();
});

/** Resolves with the grpc-timeout of the next call, in milliseconds, and with when the call's socket has closed. */
async function nextCall(): Promise<{ timeout: number; closed: Promise<unknown> }> {
  const [socket] = await once(silent, "connection");
  const closed = once(socket, "close");
  const [headers] = await once(socket, "message");
  return { timeout: Number(/^grpc-timeout: (\d{1,8})m\r$/m.exec(String(headers))?.[1]), closed };
}

test("a call to a server that says nothing ends, and the server is told", async () => {
  const heard = nextCall();
  await expect(newClient({ url: silentURL, callTimeout: 50 }).call(createBoard, { name: "x" })).rejects.toMatchObject(tooLate);
  const { timeout, closed } = await heard;
  expect(timeout).toBeGreaterThanOrEqual(50);
  await closed;
});

test("a call has 15 seconds, and more for what it uploads", async () => {
  const client = newClient({ url: silentURL });
  for (const [begin, expected] of [
    [() => client.call(getBoard, { boardId: newID() }), 15_000],
    [() => client.call(uploadFile, { boardId: newID(), content: new Uint8Array(4 << 20), mediaType: "image/png" }), 15_000 + 256_000],
    [() => newClient({ url: silentURL, callTimeout: Infinity }).call(createBoard, { name: "x" }), 99_999_999],
  ] as const) {
    const heard = nextCall();
    const call = begin();
    const { timeout } = await heard;
    expect(timeout).toBeGreaterThanOrEqual(expected);
    expect(timeout).toBeLessThan(expected + 100);
    silent.clients.forEach((socket) => socket.terminate());
    await expect(call).rejects.toMatchObject({ code: StatusCode.Unavailable });
  }
});

test("a call whose token does not come ends, and is not made later", async () => {
  let give: (token: string) => void = () => {};
  const token = new Promise<string>((resolve) => (give = resolve));
  const before = network.connections;
  const client = newClient({ callTimeout: 20, token: () => token });
  await expect(client.call(createBoard, { name: "x" })).rejects.toMatchObject(tooLate);
  await expect(client.callAll(readLog, { boardId: newID() })).rejects.toMatchObject(tooLate);
  give("late");
  await new Promise(setImmediate);
  expect(network.connections).toBe(before);
});

test("a stream that falls silent ends, a reader that is slow does not end it", async () => {
  const piece = encodeUnary(toBinary(GetFileResponseSchema, create(GetFileResponseSchema, { content: Uint8Array.of(1) })));
  let send: () => void = () => {};
  const stalled = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/grpc-web+proto" });
    send = () => void response.write(piece);
    send();
  });
  await once(stalled.listen(0, "127.0.0.1"), "listening");
  const client = newClient({ url: `http://127.0.0.1:${(stalled.address() as AddressInfo).port}`, callTimeout: 1000 });
  const pieces = client.stream(getFile, { boardId: newID(), sha256: "0".repeat(64) });
  expect((await pieces.next()).value?.content).toEqual(Uint8Array.of(1));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.advanceTimersByTime(60_000); // what the reader does meanwhile
  const second = pieces.next();
  vi.advanceTimersByTime(999);
  send();
  expect((await second).value?.content).toEqual(Uint8Array.of(1));
  const third = pieces.next();
  vi.advanceTimersByTime(1100); // what is uploaded counts, too
  await expect(third).rejects.toMatchObject(tooLate);
  stalled.close();
});
