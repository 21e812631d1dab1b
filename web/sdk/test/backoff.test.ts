import { expect, test } from "vitest";

import { Backoff } from "../src/backoff.js";

test("pauses are anywhere between 0 and a limit that doubles, and begin anew after a reset", () => {
  const longestDraw = new Backoff({ shortest: 100, longest: 1500 }, () => 1);
  expect([1, 2, 3, 4, 5, 6].map(() => longestDraw.next())).toEqual([100, 200, 400, 800, 1500, 1500]);
  longestDraw.reset();
  expect(longestDraw.next()).toBe(100);
  expect(new Backoff({ shortest: 100, longest: 1500 }, () => 0).next()).toBe(0);
});

test("the limit holds after any number of failures", () => {
  const backoff = new Backoff({ shortest: 100, longest: 1500 }, () => 1);
  for (let i = 0; i < 5000; i++) {
    backoff.next();
  }
  expect(backoff.next()).toBe(1500);
});
