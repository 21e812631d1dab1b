import { afterEach, expect, test, vi } from "vitest";

import { load, save, saveEntry } from "../src/store.js";

afterEach(() => vi.unstubAllGlobals());

function storage(): Map<string, string> {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  });
  return kept;
}

test("what is saved is loaded", () => {
  const kept = storage();
  save("a", { b: 1 });
  expect(load("a")).toEqual({ b: 1 });
  expect(kept.get("collaboard.a")).toBe('{"b":1}');
  expect(load("unknown")).toBeUndefined();
});

test("what is damaged counts as nothing", () => {
  storage().set("collaboard.damaged", "{");
  expect(load("damaged")).toBeUndefined();
});

test("a browser that refuses to remember does so until the page is closed", () => {
  vi.stubGlobal("localStorage", {
    getItem: () => null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  });
  save("refused", 7);
  expect(load("refused")).toBe(7);
});

test("of a record the entries that were set longest ago go first", () => {
  storage();
  for (const key of ["a", "b", "c", "a", "d"]) {
    saveEntry("record", key, key, 3);
  }
  expect(load("record")).toEqual({ c: "c", a: "a", d: "d" });
});
