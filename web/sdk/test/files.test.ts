import { create, toBinary } from "@bufbuild/protobuf";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";

import { encodeUnary } from "../src/framing.js";
import { BoardService, GetFileResponseSchema, newID, StatusCode, type File } from "../src/index.js";
import { Server } from "./server.js";
import { network, newBoard, newClient } from "./setup.js";

const { getFile, uploadFile } = BoardService.method;

/** Begins as a PNG does. */
function image(size: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(size);
  for (let at = 0; at < size; at += 1 << 16) {
    crypto.getRandomValues(content.subarray(at, at + (1 << 16)));
  }
  content.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return content;
}

async function sha256(content: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", content)).toString("hex");
}

test("a file of the largest size comes back as it was", async () => {
  const client = newClient();
  const boardId = await newBoard(client);
  const content = image(4 << 20);
  const file = await client.call(uploadFile, { boardId, content, mediaType: "image/png" });
  expect(file).toMatchObject({ sha256: await sha256(content), size: BigInt(4 << 20), mediaType: "image/png", createdBy: "ada" });
  const again = await newClient({ userId: "bob" }).call(uploadFile, { boardId, content, mediaType: "image/png" });
  expect(again).toEqual(file);
  const pieces: Uint8Array[] = [];
  const files: (File | undefined)[] = [];
  for await (const piece of client.stream(getFile, { boardId, sha256: file.sha256 })) {
    pieces.push(piece.content);
    files.push(piece.file);
  }
  expect(Buffer.concat(pieces).equals(content)).toBe(true);
  expect(files).toEqual([file, ...new Array(pieces.length - 1).fill(undefined)]);
});

test("a file that is too large is refused, by whoever meets it", async () => {
  const client = newClient();
  const boardId = await newBoard(client);
  for (const [size, code] of [[(4 << 20) + 1, StatusCode.InvalidArgument], [5 << 20, StatusCode.ResourceExhausted]] as const) {
    const call = client.call(uploadFile, { boardId, content: image(size), mediaType: "image/png" });
    await expect(call).rejects.toMatchObject({ name: "StatusError", code });
  }
});

test("a board without room for a file is told from a server that is busy", async () => {
  const small = await Server.start("--max-files", "1");
  try {
    const client = newClient({ url: small.url });
    const boardId = await newBoard(client);
    const upload = () => client.call(uploadFile, { boardId, content: image(100), mediaType: "image/png" });
    await upload();
    await expect(upload()).rejects.toMatchObject({ name: "StatusError", code: StatusCode.FailedPrecondition });
  } finally {
    await small.remove();
  }
});

test("a stream fails with the status of the server", async () => {
  const client = newClient();
  const boardId = await newBoard(client);
  const sha = "0".repeat(64);
  await expect(client.stream(getFile, { boardId, sha256: sha }).next()).rejects.toMatchObject({ code: StatusCode.NotFound });
  await expect(client.stream(getFile, { boardId, sha256: "x" }).next()).rejects.toMatchObject({ code: StatusCode.InvalidArgument });
  const nobody = newClient({ url: "http://127.0.0.1:1" });
  await expect(nobody.stream(getFile, { boardId, sha256: sha }).next()).rejects.toMatchObject({
    name: "StatusError", code: StatusCode.Unavailable,
  });
  const elsewhere = newClient({ url: `${network.url}/prefix` });
  await expect(elsewhere.callAll(BoardService.method.readLog, { boardId })).rejects.toMatchObject({ code: StatusCode.Unimplemented });
});

test("a stream that is left early has ended", async () => {
  const client = newClient();
  const boardId = await newBoard(client);
  const { sha256 } = await client.call(uploadFile, { boardId, content: image(4 << 20), mediaType: "image/png" });
  const left = client.stream(getFile, { boardId, sha256 });
  for await (const piece of left) {
    expect(piece.content.length).toBeGreaterThan(0);
    break;
  }
  expect(await left.next()).toEqual({ value: undefined, done: true });
});

test.each(["the connection", "the answer"])("%s that ends in the middle is told from a stream that ended", async (what) => {
  const first = toBinary(GetFileResponseSchema, create(GetFileResponseSchema, { content: Uint8Array.of(1, 2, 3) }));
  let cut: () => void = () => {};
  const broken = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/grpc-web+proto" }).write(encodeUnary(first));
    cut = () => void (what === "the answer" ? response.end() : response.destroy());
  });
  await once(broken.listen(0, "127.0.0.1"), "listening");
  const client = newClient({ url: `http://127.0.0.1:${(broken.address() as AddressInfo).port}` });
  const pieces = client.stream(getFile, { boardId: newID(), sha256: "0".repeat(64) });
  expect((await pieces.next()).value?.content).toEqual(Uint8Array.of(1, 2, 3));
  cut();
  await expect(pieces.next()).rejects.toMatchObject({ name: "StatusError", code: StatusCode.Unavailable });
  broken.close();
});
