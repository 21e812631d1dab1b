import { toBinary, create } from "@bufbuild/protobuf";
import { ObjectSchema, propsFromJson } from "@collaboard/sdk";
import { expect, test } from "vitest";

import { batches, sizeOf, thinned } from "../../src/whiteboard/batches.js";
import type { Json } from "../../src/whiteboard/fields.js";

test("batches are in order, and none is larger than allowed", () => {
  const sizes = [5, 5, 5, 90, 20, 1, 1, 1, 1, 1, 1];
  const out = batches(sizes, (n) => n, 100, 4);
  expect(out.flat()).toEqual(sizes);
  expect(out).toEqual([[5, 5, 5], [90], [20, 1, 1, 1], [1, 1, 1]]);
  expect(batches([], () => 1, 1, 1)).toEqual([]);
});

test("a size is what the wire takes, or a little more", () => {
  const values: Record<string, Json>[] = [
    { a: "x".repeat(500) }, { a: "ä€𝄞".repeat(100) }, { a: "\u20ac".repeat(30) }, { a: [[1.5, 2], [3, 4]] }, { a: true, b: { c: "d", e: [] } },
    { points: Array.from({ length: 2000 }, (_, i) => [i / 3, i]), pressures: Array.from({ length: 2000 }, () => 0.5) },
  ];
  for (const value of values) {
    const wire = toBinary(ObjectSchema, create(ObjectSchema, { props: propsFromJson(value) })).length;
    expect(sizeOf(value)).toBeGreaterThanOrEqual(wire);
    expect(sizeOf(value)).toBeLessThan(wire * 1.6 + 100);
  }
});

test("a stroke that is too large keeps its ends, its order, and as many points as fit", () => {
  const points = Array.from({ length: 10_000 }, (_, i) => [i, i]);
  const less = thinned({ points, pressures: points.map((_, i) => i), opacity: 100 }, 100_000)!;
  const kept = less.points as number[][];
  expect(sizeOf(less)).toBeLessThanOrEqual(100_000);
  expect(sizeOf(less)).toBeGreaterThan(90_000);
  expect([kept[0], kept.at(-1)]).toEqual([points[0], points.at(-1)]);
  expect(kept.map(([x]) => x)).toEqual(less.pressures);
  expect(kept).toEqual([...kept].sort((a, b) => a[0]! - b[0]!));
});

test("a stroke that fits stays, and what has no points cannot be thinned", () => {
  const stroke = { points: [[0, 0], [1, 1]], pressures: [] };
  expect(thinned(stroke, 10_000)).toEqual(stroke);
  expect(thinned({ text: "x".repeat(1000) }, 100)).toBeUndefined();
  expect(thinned({ points: [[0, 0], [1, 1]], text: "x".repeat(1000) }, 100)).toBeUndefined();
});
