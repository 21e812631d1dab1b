import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema, type Value } from "@bufbuild/protobuf/wkt";

import type { BoardSnapshot } from "./gen/collaboard/v1/board_pb.js";
import { Status, type Frame } from "./gen/collaboard/v1/frame_pb.js";
import {
  ObjectSchema,
  type Object$ as BoardObject,
  type ObjectCreate,
  type ObjectDelete,
  type ObjectOp,
  type ObjectUpdate,
} from "./gen/collaboard/v1/object_pb.js";

export type { BoardObject };

/**
 * A board's objects at one seq of its log: what the frames of the log fold to. Replicas that fold the same log are
 * equal, and equal to the server's board.
 *
 * An object is never changed: another takes its place. So objects can be compared by identity, and must not be changed
 * by the application either. A deleted object stays as a tombstone.
 *
 * Events carry the effective change, so no rule is decided here. What cannot follow from what is here (a version that is
 * not the next, an object that is not there, a z-index that is taken) changes nothing, as on the server; that values are
 * within their limits is left to the server.
 */
export class Replica {
  #objects = new Map<string, BoardObject>();
  #zIndexes = new Map<string, string>(); // ids, tombstones too
  #stack: readonly BoardObject[] | undefined; // made when asked for
  #seq = 0;

  /** Of the last frame that was applied; 0 for none. */
  get seq(): number {
    return this.#seq;
  }

  /** The object, or its tombstone. */
  object(id: string): BoardObject | undefined {
    return this.#objects.get(id);
  }

  /** Every object, tombstones too, in no order. */
  objects(): IterableIterator<BoardObject> {
    return this.#objects.values();
  }

  /** The objects that are not deleted, from the bottom to the top. The same array until the next change. */
  stack(): readonly BoardObject[] {
    this.#stack ??= [...this.#objects.values()]
      .filter((o) => !o.deleted)
      .sort((a, b) => (a.zIndex < b.zIndex ? -1 : 1)); // they are ASCII, and no two are equal
    return this.#stack;
  }

  /** Another replica that stands where this one does. They share the objects, so it costs little. */
  copy(): Replica {
    const copy = new Replica();
    copy.#objects = new Map(this.#objects);
    copy.#zIndexes = new Map(this.#zIndexes);
    copy.#stack = this.#stack;
    copy.#seq = this.#seq;
    return copy;
  }

  /** Takes the objects of a chunk of a snapshot. */
  load(chunk: BoardSnapshot): void {
    this.#seq = Number(chunk.position?.seq ?? 0n);
    for (const o of chunk.objects) {
      this.#put(o);
    }
  }

  /**
   * Does what a frame of the log says, and moves seq to the frame's. A frame at or before seq changes nothing. A batch
   * is applied whole or not at all.
   */
  apply(frame: Frame): void {
    const seq = Number(frame.seq);
    if (seq <= this.#seq) {
      return;
    }
    this.#seq = seq;
    if (frame.status !== Status.EVENT) {
      return;
    }
    const ops = operations(frame);
    const draft = new Draft(this.#objects, this.#zIndexes, frame);
    if (ops.every((op) => draft.apply(op))) {
      draft.changed.forEach((o) => this.#put(o));
    }
  }

  #put(o: BoardObject): void {
    const before = this.#objects.get(o.id);
    if (before !== undefined && before.zIndex !== o.zIndex && this.#zIndexes.get(before.zIndex) === o.id) {
      this.#zIndexes.delete(before.zIndex);
    }
    this.#objects.set(o.id, o);
    this.#zIndexes.set(o.zIndex, o.id);
    this.#stack = undefined;
  }
}

function operations(frame: Frame): ObjectOp["op"][] {
  const p = frame.payload;
  switch (p.case) {
    case "objectCreate":
      return [{ case: "create", value: p.value }];
    case "objectUpdate":
      return [{ case: "update", value: p.value }];
    case "objectDelete":
      return [{ case: "delete", value: p.value }];
    case "objectBatch":
      return p.value.ops.map((op) => op.op);
    default:
      return [];
  }
}

/** The objects that one frame changes, apart until all of it has turned out to make sense. */
class Draft {
  readonly changed = new Map<string, BoardObject>();
  readonly #zIndexes = new Map<string, string | undefined>(); // that were taken or set free by this frame

  constructor(
    readonly objects: ReadonlyMap<string, BoardObject>,
    readonly zIndexes: ReadonlyMap<string, string>,
    readonly frame: Frame,
  ) {}

  /** Returns false where the operation makes no sense. */
  apply(op: ObjectOp["op"]): boolean {
    switch (op.case) {
      case "create":
        return this.#create(op.value);
      case "update":
        return this.#update(op.value);
      case "delete":
        return this.#delete(op.value);
      default:
        return false;
    }
  }

  #create({ object }: ObjectCreate): boolean {
    if (object === undefined || object.version !== 1n || object.deleted || this.#get(object.id) !== undefined) {
      return false;
    }
    return this.#put(undefined, object);
  }

  #update(update: ObjectUpdate): boolean {
    const before = this.#get(update.id);
    if (before === undefined || update.version !== before.version + 1n) {
      return false;
    }
    const o = this.#next(before);
    o.kind = update.kind ?? o.kind;
    o.x = unsigned(update.x ?? o.x);
    o.y = unsigned(update.y ?? o.y);
    o.width = unsigned(update.width ?? o.width);
    o.height = unsigned(update.height ?? o.height);
    o.rotation = unsigned(update.rotation ?? o.rotation);
    o.zIndex = update.zIndex ?? o.zIndex;
    o.groupId = update.groupId ?? o.groupId;
    o.deleted = update.deleted ?? o.deleted;
    o.props = { ...before.props };
    for (const [key, value] of Object.entries(update.props)) {
      if (value.kind.case === "nullValue") {
        delete o.props[key];
      } else {
        o.props[key] = value;
      }
    }
    return this.#put(before, o);
  }

  #delete(del: ObjectDelete): boolean {
    const before = this.#get(del.id);
    if (before === undefined || del.version !== before.version + 1n) {
      return false;
    }
    const o = this.#next(before);
    o.deleted = true;
    return this.#put(before, o);
  }

  #get(id: string): BoardObject | undefined {
    return this.changed.get(id) ?? this.objects.get(id);
  }

  /** The next version of an object, with what the server sets. Props are shared with the one before. */
  #next(before: BoardObject): BoardObject {
    const { $typeName: _, $unknown: __, updatedAt: ___, ...fields } = before;
    return create(ObjectSchema, {
      ...fields,
      version: before.version + 1n,
      updatedSeq: this.frame.seq,
      updatedBy: this.frame.from,
      ...(this.frame.time !== undefined && { updatedAt: this.frame.time }),
    });
  }

  #put(before: BoardObject | undefined, o: BoardObject): boolean {
    const holder = this.#zIndexes.has(o.zIndex) ? this.#zIndexes.get(o.zIndex) : this.zIndexes.get(o.zIndex);
    if (o.zIndex === "" || (holder !== undefined && holder !== o.id)) {
      return false;
    }
    if (before !== undefined) {
      this.#zIndexes.set(before.zIndex, undefined);
    }
    this.#zIndexes.set(o.zIndex, o.id);
    this.changed.set(o.id, o);
    return true;
  }
}

/** Makes 0 of -0, as the server does. */
function unsigned(v: number): number {
  return v === 0 ? 0 : v;
}

/** Values for Object.props and ObjectUpdate.props from JSON. A null takes the key away in an update. */
export function propsFromJson(json: Record<string, JsonValue>): Record<string, Value> {
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fromJson(ValueSchema, value)]));
}

/** What propsFromJson was given. */
export function propsToJson(props: Record<string, Value>): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(props).map(([key, value]) => [key, toJson(ValueSchema, value)]));
}
