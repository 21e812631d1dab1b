import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { expect, test } from "vitest";

import type { Fields } from "../../page/src/whiteboard/fields.ts";
import { updateOp } from "../../page/src/whiteboard/mapping.ts";
import { frameOf } from "../../page/src/whiteboard/frames.ts";
import { crowd, put } from "../crowd.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// How long it takes to open a large board, how long the page is busy with one change of another's, and how long frames
// take while one moves about, as large as life and with all of the board in sight. A frame is the time from one animation
// frame to the next: 16.7 ms where nothing is late. Chromium renders in software here. `npm run bench -w @collaboard/e2e`

const browser = useBrowser();

test.each([1_000, 5_000])("%d objects", { timeout: 180_000 }, async (count) => {
  const stage = await Stage.open(browser());
  const elements = crowd(count);
  await put(stage.program, stage.board, elements);
  const begun = performance.now();
  const ada = await stage.person("Ada");
  await ada.page.waitForFunction((count) => window.collaboard!.api.getSceneElements().length === count, count);
  const load = performance.now() - begun;
  await record(ada);

  const middle = elements.toSorted((a, b) => distance(a) - distance(b));
  const lines: string[] = [];
  for (const zoom of [1, 0.1]) {
    await ada.page.evaluate((value) => window.collaboard!.api.updateScene({
      appState: { zoom: { value } as never, scrollX: innerWidth / 2 / value, scrollY: innerHeight / 2 / value },
    }), zoom);
    const edits: [applied: number, busy: number][] = [];
    for (let n = 0; n < 220; n++) {
      const took = await edit(stage, ada, middle[n % 20]!, n);
      if (n >= 20) {
        edits.push(took);
      }
    }
    await ada.page.mouse.move(500, 400);
    await ada.page.evaluate(() => void (window.frames_ = []));
    for (let n = 0; n < 200; n++) {
      await ada.page.mouse.wheel(n % 100 < 50 ? 10 : -10, 7);
    }
    const pan = await ada.page.evaluate(() => window.frames_!);
    expect(pan.length).toBeGreaterThan(50);
    lines.push(`at ${zoom * 100} %: one remote edit in the scene ${statistics(edits.map(([applied]) => applied))}; all that it takes `
      + `${statistics(edits.map(([, busy]) => busy))}; frames while panning ${statistics(pan)}`);
  }
  const model = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "?";
  console.log([
    `${count} objects on ${cpus().length} × ${model}, load ${loadavg().map((l) => l.toFixed(1)).join(" ")}`,
    `opened in ${Math.round(load)} ms`, ...lines,
  ].join("\n"));
});

/**
 * Moves an element as another does, and returns how long Excalidraw took to put it into the scene, and how long the page
 * was busy altogether, in ms.
 */
async function edit(stage: Stage, person: Person, fields: Fields, by: number): Promise<[applied: number, busy: number]> {
  const x = (fields["x"] as number) + by + 1;
  const shown = person.page.evaluate(({ id, x }) => new Promise<[number, number]>((resolve) => {
    window.shown_ = (busy) => {
      if (window.collaboard!.api.getSceneElements().some((e) => e.id === id && e.x === x)) {
        delete window.shown_;
        resolve([window.applied_!, busy]);
      }
    };
  }), { id: fields["id"] as string, x });
  stage.program.submit(stage.board, frameOf([updateOp(fields, { x })]));
  return await shown;
}

/** Has the page record its frames. */
function record(person: Person): Promise<void> {
  return person.page.evaluate(() => {
    const hops = new MessageChannel();
    hops.port1.onmessage = ({ data: { begun, left } }: MessageEvent<{ begun: number; left: number }>) => {
      if (left > 0) { // what a frame's callbacks have put off comes before the last hop
        hops.port2.postMessage({ begun, left: left - 1 });
      } else {
        window.shown_?.(performance.now() - begun);
      }
    };
    window.frames_ = [];
    const { api } = window.collaboard!;
    const { updateScene } = api;
    api.updateScene = (scene) => {
      const before = performance.now();
      updateScene(scene);
      window.applied_ = performance.now() - before;
    };
    let last = performance.now();
    requestAnimationFrame(function next(now) { // it was asked for before all others of the frame
      hops.port2.postMessage({ begun: performance.now(), left: 2 });
      window.frames_!.push(now - last);
      last = now;
      requestAnimationFrame(next);
    });
  });
}

function distance(fields: Fields): number {
  return Math.hypot(fields["x"] as number, fields["y"] as number);
}

function statistics(lengths: number[]): string {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1);
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms of ${lengths.length}`;
}

declare global {
  interface Window {
    frames_?: number[]; // their lengths, in ms
    applied_?: number; // ms
    /** Is told, after each frame, how long the page was busy with it. */
    shown_?: (busy: number) => void;
  }
}
