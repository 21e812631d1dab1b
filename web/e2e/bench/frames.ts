import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { expect, test } from "vitest";

import { updateOp } from "../../page/src/whiteboard/mapping.ts";
import { frameOf } from "../../page/src/whiteboard/frames.ts";
import { crowd, put } from "../crowd.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// How long it takes to open a large board, and how long frames take while another changes it and while one moves about
// on it. A frame is the time from one animation frame to the next: 16.7 ms where nothing is late. Chromium renders in
// software here. `npm run bench -w @collaboard/e2e`

const browser = useBrowser();

test.each([1_000, 5_000])("%d objects", { timeout: 180_000 }, async (count) => {
  const stage = await Stage.open(browser());
  const elements = crowd(count);
  await put(stage.program, stage.board, elements);
  const begun = performance.now();
  const ada = await stage.person("Ada");
  await ada.page.waitForFunction((count) => window.collaboard!.api.getSceneElements().length === count, count);
  const load = performance.now() - begun;

  const middle = elements.toSorted((a, b) => Math.hypot(a["x"] as number, a["y"] as number) - Math.hypot(b["x"] as number, b["y"] as number));
  await frames(ada);
  for (let n = 0; n < 200; n++) {
    const fields = middle[n % 50]!;
    const { acked } = stage.program.submit(stage.board, frameOf([updateOp(fields, { x: (fields["x"] as number) + n })]));
    const { seq } = await acked;
    await ada.page.waitForFunction((seq) => window.collaboard!.board.position!.seq >= seq, seq);
  }
  const edits = await frames(ada);
  await ada.point([300, 300]);
  for (let n = 0; n < 100; n++) {
    await ada.page.mouse.wheel(n % 50 < 25 ? 10 : -10, 7);
  }
  const pan = await frames(ada);
  const model = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "?";
  console.log(
    `${count} objects on ${cpus().length} × ${model}, load ${loadavg().map((l) => l.toFixed(1)).join(" ")}\n`
    + `opened in ${Math.round(load)} ms\none remote edit after the other: ${statistics(edits)}\npanning: ${statistics(pan)}`);
  expect(edits.length).toBeGreaterThan(100);
});

/** The lengths of the frames since the last call, in ms. */
function frames(person: Person): Promise<number[]> {
  return person.page.evaluate(() => {
    const recorded = window as { frameLengths?: number[] };
    const before = recorded.frameLengths;
    const lengths: number[] = (recorded.frameLengths = []);
    if (before === undefined) {
      let last = performance.now();
      requestAnimationFrame(function next(now) {
        recorded.frameLengths!.push(now - last);
        last = now;
        requestAnimationFrame(next);
      });
    }
    return before ?? lengths;
  });
}

function statistics(lengths: number[]): string {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number) => `${sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1)} ms`;
  return `frames p50 ${at(0.5)}, p95 ${at(0.95)}, longest ${at(1)} of ${lengths.length}`;
}
