import type { OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import { expect, test } from "vitest";

import { Replica } from "@collaboard/sdk";
import { Moments } from "../../src/whiteboard/moment.js";
import { createOp, updateOp } from "../../src/whiteboard/mapping.js";
import { frameOf } from "../../src/whiteboard/frames.js";
import { fieldsOf } from "../../src/whiteboard/fields.js";
import { Log } from "./log.js";

function box(id: string, index: string, more: object = {}) {
  return fieldsOf({ id, type: "rectangle", x: 0, y: 0, width: 10, height: 10, angle: 0, index, isDeleted: false, ...more } as never);
}

test("each moment is shown as it was, and only what is another is made anew", async () => {
  const log = new Log();
  const board = log.join("ada");
  const [a, b] = [box("a", "a1"), box("b", "a2")];
  const text = box("t", "a3", { type: "text", text: "hi", containerId: "a" });
  const submit = (...ops: Parameters<typeof frameOf>[0]) => board.submit(frameOf(ops));
  submit(createOp(a));
  submit(createOp(b), createOp(text));
  submit(updateOp({ ...b, x: 5 }, { x: 5 }));
  submit(updateOp({ ...a, index: "a4" }, { index: "a4" }));
  submit(updateOp({ ...b, isDeleted: true }, { isDeleted: true }));
  submit(updateOp({ ...a, index: "a4", width: 20 }, { width: 20 }));
  await log.accept();

  const at = (seq: number) => {
    const replica = new Replica();
    log.frames.slice(0, seq).forEach((frame) => replica.apply(frame));
    return replica;
  };
  let scene: readonly OrderedExcalidrawElement[] = [];
  const moments = new Moments();
  const look = (seq: number) => {
    scene = moments.show(at(seq), scene) ?? scene;
    return scene.map(({ id, x }) => `${id}${x}`);
  };
  expect(look(3)).toEqual(["a0", "b5", "t0"]);
  expect(scene[0]!.boundElements).toEqual([{ id: "t", type: "text" }]);
  const [before, moved] = scene;
  const version = moved!.version;
  expect(look(2)).toEqual(["a0", "b0", "t0"]);
  expect(scene[0]).toBe(before);
  expect(scene[1]).toBe(moved); // and need not be drawn anew
  expect(moved!.version).toBeGreaterThan(version);
  expect(look(4)).toEqual(["b5", "t0", "a0"]);
  expect(scene[2]).not.toBe(before);
  expect(look(5)).toEqual(["t0", "a0"]);
  expect(look(1)).toEqual(["a0"]);
  expect(scene[0]!.boundElements).toEqual([]);
  expect(look(5)).toEqual(["t0", "a0"]);
  expect(moments.show(at(5), scene)).toBeUndefined();
  const [there] = scene;
  expect(look(0)).toEqual([]);
  expect(look(5)).toEqual(["t0", "a0"]);
  expect(scene[0]).toBe(there); // what was drawn of it is still good
  const [, small] = scene;
  expect(look(6)).toEqual(["t0", "a0"]);
  expect(scene[1]).not.toBe(small);
  expect([small!.width, scene[1]!.width]).toEqual([10, 20]);
});
