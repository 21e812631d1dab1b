import { expect, test } from "vitest";

import { canonicalID, newID } from "../src/ids.js";

test("ids are UUIDs of version 7, of now, and no two are equal", () => {
  const before = Date.now();
  const ids = Array.from({ length: 1000 }, newID);
  const after = Date.now();
  for (const id of ids) {
    expect(canonicalID("id", id)).toBe(id);
    expect(id).toMatch(/^.{14}7.{4}[89ab]/);
    const time = parseInt(id.replace("-", "").slice(0, 12), 16);
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(after);
  }
  expect(new Set(ids.map((id) => id.slice(14))).size).toBe(ids.length);
});
