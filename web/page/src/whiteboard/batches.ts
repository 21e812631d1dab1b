import type { Json, Patch } from "./fields.js";

/** What the server takes. The defaults are those of the protocol, for before it has said so. */
export interface Limits {
  readonly frameBytes: number;
  readonly objectBytes: number;
  readonly ops: number;
}

export const defaultLimits: Limits = { frameBytes: 1 << 20, objectBytes: 240 << 10, ops: 1000 };

/** What a step takes beside its fields. */
export const opBytes = 128;

/** A little more than a value takes on the wire. */
export function sizeOf(value: Json | undefined): number {
  switch (typeof value) {
    case "number":
      return 11;
    case "string":
      return bytesOf(value) + 8;
    case "object":
      return value === null ? 4
        : Array.isArray(value) ? value.reduce((sum: number, v) => sum + sizeOf(v), 8)
        : Object.entries(value).reduce((sum, [key, v]) => sum + bytesOf(key) + sizeOf(v) + 8, 8);
    default:
      return 4;
  }
}

function bytesOf(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 0x80 ? 0 : code < 0x800 ? 1 : 2; // half of a surrogate pair takes 2
  }
  return bytes;
}

/** Divides what is to be sent, in order, into batches that the server takes. */
export function batches<T>(items: readonly T[], size: (item: T) => number, maxBytes: number, maxItems: number): T[][] {
  const out: T[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const more = size(item);
    const last = out.at(-1);
    if (last === undefined || bytes + more > maxBytes || last.length >= maxItems) {
      out.push([item]);
      bytes = more;
    } else {
      last.push(item);
      bytes += more;
    }
  }
  return out;
}

/**
 * A stroke or line with as many of its points, evenly chosen, as fit: the first and the last always. undefined where that
 * is of no use.
 */
export function thinned(patch: Patch, maxBytes: number): Patch | undefined {
  const { points, pressures } = patch;
  const rest = sizeOf({ ...patch, points: [], pressures: [] });
  if (!Array.isArray(points) || rest >= maxBytes) {
    return undefined;
  }
  const paired = Array.isArray(pressures) && pressures.length === points.length;
  const each = sizeOf(points[0]) + (paired ? sizeOf(0) : 0) + 1;
  const count = Math.min(points.length, Math.floor((maxBytes - rest) / each));
  if (count < 2) {
    return undefined;
  }
  const pick = (list: Json[]) =>
    Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / (count - 1))] ?? null);
  return {
    ...patch,
    points: count === points.length ? points : pick(points),
    ...(pressures !== undefined && { pressures: paired ? (count === points.length ? pressures : pick(pressures)) : [] }),
  };
}
