import { cpus, loadavg } from "node:os";
import { expect, test } from "vitest";

import { updateOp } from "../../page/src/whiteboard/mapping.ts";
import { frameOf } from "../../page/src/whiteboard/frames.ts";
import { crowd, put } from "../crowd.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// How long frames take while somebody drags the slider of the history from end to end and back, as large as life and with
// all of the board in sight: while the log is being read, and when it is there. `npm run bench -w @collaboard/e2e history`

const browser = useBrowser();
const [objects, changes] = [5_000, 20_000];

test(`${objects} objects, ${changes} changes`, { timeout: 300_000 }, async () => {
  const stage = await Stage.open(browser());
  const elements = crowd(objects);
  await put(stage.program, stage.board, elements);
  for (let n = 0; n < changes; n++) {
    const fields = elements[(n * 7) % objects]!;
    stage.program.submit(stage.board, frameOf([updateOp(fields, { x: (fields["x"] as number) + n % 50, y: fields["y"] as number })]));
    if (n % 1_000 === 0) {
      await stage.program.flush();
    }
  }
  await stage.program.flush();
  const ada = await stage.person("Ada");
  await ada.page.waitForFunction((count) => window.collaboard!.api.getSceneElements().length === count, objects);
  const lines: string[] = [];
  for (const zoom of [1, 0.1]) {
    const begun = performance.now();
    await ada.page.getByRole("button", { name: "History" }).click();
    await ada.page.waitForFunction((count) => window.collaboard?.moment?.getSceneElements().length === count, objects);
    const open = performance.now() - begun;
    await ada.page.evaluate((value) => window.collaboard!.moment!.updateScene({
      appState: { zoom: { value } as never, scrollX: 470 / value, scrollY: 330 / value },
    }), zoom);
    const first = await drag(ada);
    await ada.page.locator(".history-list").evaluate((list) => list.scrollTo(0, 0));
    await ada.page.waitForFunction(() => document.querySelector(".time .spinner") === null);
    const loaded = Date.now();
    await ada.page.waitForFunction(() => { // the list knows the beginning
      const list = document.querySelector(".history-list")!;
      list.scrollTo(0, list.scrollHeight);
      return list.textContent?.includes("The history begins here");
    }, undefined, { timeout: 60_000 });
    const rest = Date.now() - loaded;
    const second = await drag(ada);
    lines.push(`at ${zoom * 100} %: open in ${Math.round(open)} ms; while it is read ${first}; all of it ${rest} ms after that; then ${second}`);
    await ada.page.getByRole("button", { name: "Close history" }).click();
    await ada.page.waitForFunction(() => window.collaboard?.moment === undefined);
  }
  const heap = await ada.page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
  console.log([
    `${objects} objects, ${changes} changes on ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg().map((l) => l.toFixed(1)).join(" ")}`,
    ...lines, `heap ${Math.round(heap / 2 ** 20)} MB`,
  ].join("\n"));
});

/** Drags the slider to its beginning and back, and says how long frames took, and how many moments were seen. */
async function drag({ page }: Person): Promise<string> {
  const line = (await page.getByRole("slider").boundingBox())!;
  const y = line.y + line.height / 2;
  await page.mouse.move(line.x + line.width - 8, y);
  await page.mouse.down();
  await page.evaluate(() => {
    window.drag_ = { frames: [], scenes: 0 };
    const { moment } = window.collaboard!;
    const off = moment!.onChange(() => void window.drag_!.scenes++);
    let last = performance.now();
    requestAnimationFrame(function next(now) {
      if (window.drag_ === undefined) {
        return off();
      }
      window.drag_.frames.push(now - last);
      last = now;
      requestAnimationFrame(next);
    });
  });
  for (const to of [8, line.width - 8]) {
    await page.mouse.move(line.x + to, y, { steps: 100 });
  }
  const { frames, scenes } = await page.evaluate(() => {
    const seen = window.drag_!;
    delete window.drag_;
    return seen;
  });
  await page.mouse.up();
  expect(frames.length).toBeGreaterThan(20);
  const sorted = frames.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1);
  return `frames p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, longest ${at(1)} ms of ${frames.length}, scene shown ${scenes} times`;
}

declare global {
  interface Window {
    drag_?: { frames: number[]; scenes: number };
  }
}
