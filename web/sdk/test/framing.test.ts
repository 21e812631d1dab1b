import { describe, expect, test } from "vitest";

import { encodeMessages, encodeMetadata, FrameReader, FramingError, halfClose, type WebFrame } from "../src/framing.js";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function frame(flags: number, payload: string): number[] {
  const bytes = new TextEncoder().encode(payload);
  return [flags, 0, 0, bytes.length >> 8, bytes.length & 0xff, ...bytes];
}

describe("to the server", () => {
  test("metadata is lines that end with CRLF", () => {
    expect(text(encodeMetadata(new Map([["user-id", "ada"], ["x-grpc-web", "1"]])))).toBe("user-id: ada\r\nx-grpc-web: 1\r\n");
  });

  test.each([["a\r\nb", "x"], ["A", "x"], ["a", "x\r\nb: y"], ["a", "ä"]])("metadata %j: %j is refused", (name, value) => {
    expect(() => encodeMetadata(new Map([[name, value]]))).toThrow(TypeError);
  });

  test("a message has a zero, no flags, and its length", () => {
    expect([...encodeMessages([[new Uint8Array(258).fill(7)]])].slice(0, 8)).toEqual([0, 0, 0, 0, 1, 2, 7, 7]);
    expect([...encodeMessages([[Uint8Array.of(7)], [Uint8Array.of(8), Uint8Array.of(9)]])]).toEqual([0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 2, 8, 9]);
    expect([...halfClose]).toEqual([1]);
  });
});

describe("from the server", () => {
  const sent = Uint8Array.from([
    ...frame(0x80, "Content-Type: application/grpc\r\n"), ...frame(0, "one"), ...frame(0, ""), ...frame(0x80, "grpc-status:0\r\n"),
  ]);
  const show = (f: WebFrame) => (f.kind === "message" ? text(f.bytes) : Object.fromEntries(f.metadata));
  const want = [{ "content-type": "application/grpc" }, "one", "", { "grpc-status": "0" }];

  test("frames are found wherever the bytes are cut", () => {
    for (let size = 1; size <= sent.length; size++) {
      const reader = new FrameReader();
      const got: WebFrame[] = [];
      for (let at = 0; at < sent.length; at += size) {
        got.push(...reader.push(sent.slice(at, at + size)));
      }
      expect(got.map(show)).toEqual(want);
    }
  });

  test("frames that nobody can read are refused", () => {
    expect(() => new FrameReader().push(Uint8Array.from(frame(1, "zipped")))).toThrow(FramingError);
    expect(() => new FrameReader().push(Uint8Array.of(0, 0xff, 0, 0, 0))).toThrow(FramingError);
  });
});
