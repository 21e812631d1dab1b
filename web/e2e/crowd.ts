import type { Client } from "@collaboard/sdk";
import { fieldsOf, type Fields } from "../page/src/whiteboard/fields.ts";
import { frameOf } from "../page/src/whiteboard/frames.ts";
import { createOp } from "../page/src/whiteboard/mapping.ts";
import { everything, type Drawing } from "./drawing.ts";
import { random } from "./random.ts";

/** Elements of all kinds of shapes, scattered over a square, the nearer to the origin the fewer there are. */
export function crowd(count: number): Fields[] {
  const r = random(count);
  const shapes = (JSON.parse(everything()) as Drawing).elements
    .filter((e) => ["rectangle", "ellipse", "diamond", "line", "freedraw", "text"].includes(e.type) && !e.isDeleted);
  const side = 120 * Math.sqrt(count);
  return Array.from({ length: count }, (_, n) => {
    const { containerId: _c, frameId: _f, boundElements: _b, ...shape } = shapes[n % shapes.length] as unknown as Record<string, never>;
    return fieldsOf({
      ...shape, id: `element-${n}`, groupIds: [], locked: false, roughness: 1, strokeWidth: 2, seed: n + 1, angle: 0,
      x: Math.round(side * (r() - 0.5)), y: Math.round(side * (r() - 0.5)),
    } as unknown as Parameters<typeof fieldsOf>[0]);
  });
}

/** Puts elements on a board. */
export async function put(program: Client, board: string, elements: readonly Fields[]): Promise<void> {
  for (let n = 0; n < elements.length; n += 250) {
    program.submit(board, frameOf(elements.slice(n, n + 250).map((fields) => createOp(fields))));
  }
  await program.flush();
}
