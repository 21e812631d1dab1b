import { isEqual, patched, patchOf, type Fields, type Json, type Patch } from "./fields.js";

type Point = readonly [x: number, y: number];

/** Where the shapes are that an arrow's two ends are bound to; undefined for an end that is free. */
type Ends = readonly [start: Point | undefined, end: Point | undefined];

export interface ArrowsHooks {
  /** What is seen of an element. */
  shown(id: string): Fields | undefined;
  /** What the log says of an element that this client changes no further. */
  settled(id: string): Fields | undefined;
  amend(id: string, patch: Patch): void;
}

/**
 * Keeps arrows at the shapes that they are bound to. Who moves a shape moves the arrow with it, up to the other shape as
 * they see it: where somebody moves that one at the same time, the arrow would miss it. The one whose arrow is the later
 * in the log moves its end as far as the shape was moved.
 */
export class Arrows {
  constructor(readonly hooks: ArrowsHooks) {}

  /** Remembers where the ends of arrows in a change are. The result is to be called once the change is in the log. */
  submitted(patches: ReadonlyMap<string, Patch>): () => void {
    const arrows: (() => void)[] = [];
    for (const [id, { points }] of patches) {
      const drawn = points === undefined ? undefined : this.hooks.shown(id);
      const ends = endsOf(drawn, (shape) => this.hooks.shown(shape));
      if (ends !== undefined) {
        arrows.push(() => this.#follow(id, drawn!, ends));
      }
    }
    return () => arrows.forEach((follow) => follow());
  }

  #follow(id: string, drawn: Fields, before: Ends): void {
    const arrow = this.hooks.settled(id);
    if (["x", "y", "points"].some((key) => !isEqual(arrow?.[key], drawn[key]))) {
      return; // it is somebody else's by now
    }
    const now = endsOf(arrow, (shape) => this.hooks.settled(shape));
    const [start, end] = before.map((was, i): Point => {
      const is = now?.[i];
      return was === undefined || is === undefined ? [0, 0] : [is[0] - was[0], is[1] - was[1]];
    }) as [Point, Point];
    if (arrow !== undefined && [...start, ...end].some((n) => n !== 0)) {
      const patch = moved(arrow, start, end);
      this.hooks.amend(id, patchOf(patched(arrow, patch), Object.keys(patch)));
    }
  }
}

/** undefined where there is nothing to keep together: no arrow, or one that only Excalidraw can draw anew. */
function endsOf(arrow: Fields | undefined, find: (id: string) => Fields | undefined): Ends | undefined {
  if (arrow?.type !== "arrow" || arrow.isDeleted === true || arrow.elbowed === true || arrow.angle !== 0) {
    return undefined;
  }
  const centre = (binding: Json | undefined): Point | undefined => {
    const shape = find(String((binding as { elementId?: Json } | undefined)?.elementId));
    return shape && [Number(shape.x) + Number(shape.width) / 2, Number(shape.y) + Number(shape.height) / 2];
  };
  return [centre(arrow.startBinding), centre(arrow.endBinding)];
}

function moved(arrow: Fields, start: Point, end: Point): Patch {
  const points = (arrow.points as [number, number][]).map(([x, y], i, { length }): [number, number] =>
    i === 0 ? [0, 0]
    : i === length - 1 ? [x + end[0] - start[0], y + end[1] - start[1]]
    : [x - start[0], y - start[1]]);
  const extent = (of: 0 | 1) => Math.max(...points.map((p) => p[of])) - Math.min(...points.map((p) => p[of]));
  return { x: Number(arrow.x) + start[0], y: Number(arrow.y) + start[1], width: extent(0), height: extent(1), points };
}
