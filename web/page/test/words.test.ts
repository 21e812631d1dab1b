import { expect, test } from "vitest";

import { initials } from "../src/board/people.js";
import { parseRoute } from "../src/route.js";
import { ago, dateOf, dayOf } from "../src/time.js";
import { cleanName } from "../src/user.js";

test.for<[string, ReturnType<typeof parseRoute>]>([
  ["/", { page: "list" }],
  ["/b/0198B4C4-0000", { page: "board", id: "0198b4c4-0000" }],
  ["/b/", { page: "unknown" }],
  ["/b/1/2", { page: "unknown" }],
  ["/elsewhere", { page: "unknown" }],
])("%s is %o", ([path, route]) => {
  expect(parseRoute(path)).toEqual(route);
});

test.for<[number, string]>([
  [-60, "just now"], [0, "just now"], [59, "just now"], [60, "1 minute ago"], [3599, "59 minutes ago"], [3600, "1 hour ago"],
  [86_400, "yesterday"], [6 * 86_400, "6 days ago"], [7 * 86_400, "last week"], [400 * 86_400, "last year"],
])("%i seconds are %s", ([seconds, text]) => {
  const now = new Date(2026, 5, 15, 12);
  expect(ago(new Date(now.getTime() - seconds * 1000), now)).toBe(text);
});

test.for<[Date, string]>([
  [new Date(2026, 5, 15, 0, 0), "Today"],
  [new Date(2026, 5, 14, 23, 59), "Yesterday"],
  [new Date(2026, 5, 13, 23, 59), "Saturday, June 13"],
  [new Date(2025, 11, 31), "Wednesday, December 31, 2025"],
])("%o is %s", ([then, text]) => {
  expect(dayOf(then, new Date(2026, 5, 15, 12))).toBe(text);
});

test("a time of the server's is one of the browser's", () => {
  expect(dateOf({ seconds: 1_700_000_000n, nanos: 250_000_000 }).toISOString()).toBe("2023-11-14T22:13:20.250Z");
});

test.for<[string, string]>([
  ["  Ada   Lovelace ", "Ada Lovelace"], ["Ada\u0000\u202e", "Ada"], [" \u200b\n", ""], ["ж".repeat(200), "ж".repeat(128)], ["😀".repeat(130), "😀".repeat(128)],
])("%j is the name %j", ([text, name]) => {
  expect(cleanName(text)).toBe(name);
});

test.for<[string, string]>([
  ["Ada Lovelace", "AL"], ["ada", "A"], ["Jean-Luc Picard", "JP"], ["😀 face", "😀F"], ["  ", "?"],
])("%j has the initials %j", ([name, letters]) => {
  expect(initials(name)).toBe(letters);
});
