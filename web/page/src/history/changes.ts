import type { Frame, ObjectOp } from "@collaboard/sdk";

import { dateOf } from "../time.js";

/** What one frame of the log did to objects. */
export interface Change {
  readonly seq: number;
  readonly from: string; // user id
  readonly time: Date;
  readonly added: readonly string[]; // kinds
  readonly changed: readonly string[]; // object ids
  readonly deleted: readonly string[]; // object ids
  /** The moment that it brought back, of the board or an object. */
  readonly restored?: number;
  /** The frame that it undid. */
  readonly reverted?: number;
}

/** undefined where the frame is about no object. */
export function changeOf(frame: Frame): Change | undefined {
  const ops = opsOf(frame);
  if (ops.length === 0) {
    return undefined;
  }
  const { payload } = frame;
  const batch = payload.case === "objectBatch" ? payload.value : undefined;
  const added = new Map<string, string>(); // kinds, by object id
  const changed = new Set<string>();
  const deleted = new Set<string>();
  for (const { case: what, value } of ops) {
    if (what === "create" && value.object !== undefined) {
      added.set(value.object.id, value.object.kind);
    } else if (what === "update" && value.deleted !== true) {
      changed.add(value.id);
    } else if (what === "update" || what === "delete") {
      deleted.add(value.id);
    }
  }
  return {
    seq: Number(frame.seq), from: frame.from, time: frame.time === undefined ? new Date(0) : dateOf(frame.time),
    added: [...added.values()], changed: [...changed].filter((id) => !added.has(id) && !deleted.has(id)), deleted: [...deleted],
    ...(batch !== undefined && batch.restoredSeq > 0n && { restored: Number(batch.restoredSeq) }),
    ...(batch !== undefined && batch.revertedSeq > 0n && { reverted: Number(batch.revertedSeq) }),
  };
}

/** The objects that a frame is about. */
export function objectsOf(frame: Frame): string[] {
  return opsOf(frame).flatMap(({ case: what, value }) => (what === "create" ? value.object?.id ?? [] : value?.id ?? []));
}

function opsOf({ payload }: Frame): ObjectOp["op"][] {
  switch (payload.case) {
    case "objectCreate":
      return [{ case: "create", value: payload.value }];
    case "objectUpdate":
      return [{ case: "update", value: payload.value }];
    case "objectDelete":
      return [{ case: "delete", value: payload.value }];
    case "objectBatch":
      return payload.value.ops.map(({ op }) => op);
    default:
      return [];
  }
}

/** Changes of one person, without a pause. */
export interface Group {
  readonly from: string; // user id
  readonly first: Change;
  readonly last: Change;
  readonly count: number; // of changes
  readonly added: readonly string[]; // kinds
  readonly changed: number; // objects
  readonly deleted: number;
}

const pause = 5 * 60_000; // ms

/**
 * Changes that follow each other in the log, in groups. A restore is a group of its own, and one begins after each seq of
 * breaks.
 */
export function groupsOf(changes: readonly Change[], breaks: ReadonlySet<number>): Group[] {
  const groups: Change[][] = [];
  for (const change of changes) {
    const before = groups.at(-1);
    const last = before?.at(-1);
    if (before === undefined || last === undefined || last.from !== change.from || breaks.has(last.seq)
      || change.time.getTime() - last.time.getTime() > pause || last.restored !== change.restored || last.reverted !== change.reverted) {
      groups.push([change]);
    } else {
      before.push(change);
    }
  }
  return groups.map((of) => ({
    from: of[0]!.from, first: of[0]!, last: of.at(-1)!, count: of.length,
    added: of.flatMap(({ added }) => added),
    changed: new Set(of.flatMap(({ changed }) => changed)).size,
    deleted: new Set(of.flatMap(({ deleted }) => deleted)).size,
  }));
}

const words = new Map([
  ["rectangle", "rectangle"], ["ellipse", "ellipse"], ["diamond", "diamond"], ["arrow", "arrow"], ["line", "line"],
  ["freedraw", "drawing"], ["text", "text"], ["image", "image"], ["frame", "frame"], ["sticky_note", "note"],
]);

/** What people call an object of a kind. */
export function wordOf(kind: string): string {
  return words.get(kind) ?? "object";
}

/** In words, what a group of changes did. */
export function describe({ added, changed, deleted, last }: Pick<Group, "added" | "changed" | "deleted" | "last">): string {
  if (last.restored !== undefined) {
    return "Brought back what was before";
  }
  if (last.reverted !== undefined) {
    return "Took a change back";
  }
  const kinds = [...new Set(added.map(wordOf))];
  const what = kinds.length === 1 ? counted(added.length, kinds[0]!) : counted(added.length, "object");
  const parts = [
    ...(added.length > 0 ? [`added ${what}`] : []),
    ...(changed > 0 ? [`changed ${counted(changed, "object")}`] : []),
    ...(deleted > 0 ? [`deleted ${counted(deleted, "object")}`] : []),
  ];
  const text = parts.join(", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function counted(n: number, word: string): string {
  return n === 1 ? `1 ${word}` : `${n.toLocaleString("en")} ${word}s`;
}
