import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { FrameSchema } from "../src/index.js";
import { decodeText, encodeText } from "../src/text.js";

const texts = ["", "an id", "\0\x7f", "ä", "naïve 世界 🙂", "\ud800 alone", "\ufeffmarked", "x".repeat(64), "x".repeat(65), "ü".repeat(1000)];

test.each(texts)("%j is encoded, and decoded, as the platform does", (text) => {
  const bytes = new TextEncoder().encode(text);
  expect(encodeText(text)).toEqual(bytes);
  expect(decodeText(bytes)).toBe(new TextDecoder().decode(bytes));
  expect(decodeText(bytes, true)).toBe(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
});

test("bytes that are no text are told", () => {
  expect(decodeText(Uint8Array.of(0x61, 0xff))).toBe("a\ufffd");
  expect(() => decodeText(Uint8Array.of(0x61, 0xff), true)).toThrow(TypeError);
});

test("frames have their texts", () => {
  for (const text of texts.filter((text) => !/^[\ud800\ufeff]/.test(text))) {
    const frame = create(FrameSchema, { payload: { case: "chatMessage", value: { text } } });
    expect(fromBinary(FrameSchema, toBinary(FrameSchema, frame)).payload).toMatchObject({ value: { text } });
  }
});
