import { expect, test } from "vitest";

import { largest } from "../src/list/thumbnail-images.js";

const image = (fileId: string, size: number, more = {}) => ({
  type: "image", fileId, fileSha256: `sha-${fileId}`, width: size, height: size, isDeleted: false, ...more,
});

test("the largest images come first, each file once", () => {
  expect(largest([image("a", 10), image("b", 30), image("a", 40), image("c", 20)]).map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

test("what is gone, not on the server yet, or no image, is no image to fetch", () => {
  expect(largest([
    image("gone", 1, { isDeleted: true }), image("waits", 1, { fileSha256: undefined }), image("b", 1, { type: "rectangle" }),
  ])).toEqual([]);
});
