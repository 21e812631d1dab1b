import { propsFromJson, propsToJson, type BoardObject, type Durable, type ObjectOp } from "@collaboard/sdk";

import { isEqual, patched, type Fields, type Json, type Patch } from "./fields.js";
import { objectID } from "./names.js";

/** A step of a batch, as it is to be sent. */
export type Op = NonNullable<Extract<Durable, { case: "objectBatch" }>["value"]["ops"]>[number];

/** Keys of an element that are fields of an object of their own. All others are props, the element's id among them. */
const own = {
  x: "x", y: "y", width: "width", height: "height", angle: "rotation", index: "zIndex",
} as const;
const notProps: ReadonlySet<string> = new Set([...Object.keys(own), "type", "isDeleted"]);

const sticky = "sticky_note";

/** The object's kind: the element's type, but for notes, which to Excalidraw are rectangles. */
function kindOf(fields: Fields): string {
  return isSticky(fields) ? sticky : String(fields.type);
}

export function isSticky(fields: Fields): boolean {
  return fields.type === "rectangle" && isEqual((fields.customData as { sticky?: Json } | undefined)?.sticky, true);
}

/** The id of the element that an object is shown as. */
export function elementID(object: BoardObject): string {
  const kind = object.props.id?.kind;
  return kind?.case === "stringValue" && objectID(kind.value) === object.id ? kind.value : object.id;
}

export function fieldsOfObject(object: BoardObject): Fields {
  const props: Record<string, Json> = {};
  setProps(props, object.props);
  const fields: Record<string, Exclude<Json, null>> = { ...patched({}, props) };
  for (const [key, field] of Object.entries(own) as [string, (typeof own)[keyof typeof own]][]) {
    fields[key] = object[field];
  }
  fields.id = elementID(object);
  fields.type = object.kind === sticky ? "rectangle" : object.kind;
  fields.isDeleted = object.deleted;
  return fields;
}

/** Of an element that is new on the board. */
export function createOp(fields: Fields): Op {
  const groupId = groupOf(fields);
  const object = {
    id: objectID(String(fields.id)),
    kind: kindOf(fields),
    ...Object.fromEntries(Object.entries(own).map(([key, field]) => [field, fields[key] ?? 0])),
    zIndex: zIndexOf(fields),
    ...(groupId !== "" && { groupId }),
    props: propsFromJson(propsOf(patched({}, compact(fields, fields)))),
  };
  return { op: { case: "create", value: { object } } };
}

/** Of an element that is on the board, and has these fields after the change. */
export function updateOp(fields: Fields, patch: Patch): Op {
  const id = objectID(String(fields.id));
  const keys = Object.keys(patch);
  if (keys.length === 1 && patch.isDeleted === true) {
    return { op: { case: "delete", value: { id } } };
  }
  const value: Record<string, unknown> = { id };
  for (const [key, field] of Object.entries(own)) {
    if (key in patch) {
      value[field] = key === "index" ? zIndexOf(fields) : patch[key] ?? 0;
    }
  }
  if ("type" in patch || "customData" in patch) {
    value.kind = kindOf(fields);
  }
  if ("isDeleted" in patch) {
    value.deleted = patch.isDeleted === true;
  }
  if ("groupIds" in patch) {
    value.groupId = groupOf(fields);
  }
  const { id: _, ...props } = propsOf(compact(fields, patch));
  value.props = propsFromJson(props);
  return { op: { case: "update", value: value as { id: string } } };
}

/**
 * A change without what follows from the rest: a text that no container wraps is the original text. The longest ones fit
 * into an object only once.
 */
export function compact(fields: Fields, patch: Patch): Patch {
  return patch.originalText !== undefined && patch.originalText === fields.text ? { ...patch, originalText: null } : patch;
}

function propsOf(patch: Patch): Record<string, Json> {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !notProps.has(key)));
}

/** What a step that was received does to the fields of an element, and whether it makes the element. */
export interface Step {
  readonly objectID: string;
  readonly patch: Patch;
  readonly creates: boolean;
}

export function stepOf({ op }: Pick<ObjectOp, "op">): Step | undefined {
  switch (op.case) {
    case "create":
      return op.value.object && { objectID: op.value.object.id, patch: fieldsOfObject(op.value.object), creates: true };
    case "update": {
      const { value } = op;
      const patch: Record<string, Json> = {};
      setProps(patch, value.props);
      for (const [key, field] of Object.entries(own) as [string, (typeof own)[keyof typeof own]][]) {
        if (value[field] !== undefined) {
          patch[key] = value[field];
        }
      }
      if (value.deleted !== undefined) {
        patch.isDeleted = value.deleted;
      }
      return { objectID: value.id, patch, creates: false };
    }
    case "delete":
      return { objectID: op.value.id, patch: { isDeleted: true }, creates: false };
    default:
      return undefined;
  }
}

/** A prop cannot stand for what is a field of the object, whatever a program wrote into it. */
function setProps(fields: Record<string, Json>, props: BoardObject["props"]): void {
  for (const [key, value] of Object.entries(propsToJson(props))) {
    if (!notProps.has(key) && key !== "id" && key !== "__proto__") {
      fields[key] = value;
    }
  }
}

/** The outermost of an element's groups, which are all among its props. */
function groupOf({ groupIds }: Fields): string {
  const outermost = Array.isArray(groupIds) ? groupIds.at(-1) : undefined;
  return typeof outermost === "string" ? objectID(outermost) : "";
}

/** Empty, which is on top, for a place that the server would refuse: drawings from elsewhere may have any. */
function zIndexOf({ index }: Fields): string {
  return typeof index === "string" && isZIndex(index) ? index : "";
}

/** See board/zindex.go. */
function isZIndex(index: string): boolean {
  const head = index.charCodeAt(0);
  const digits = head >= 97 ? head - 95 : 92 - head; // with the head
  return /^[A-Za-y][0-9A-Za-z]*$/.test(index) && index.length <= 256 && digits <= index.length
    && !(index.length > digits && index.endsWith("0")) && !/^A0{26}$/.test(index);
}
