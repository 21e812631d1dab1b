import type { ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * What two clients have in common of an element: its own keys but those that are each client's own business. None is null
 * or undefined: that is the same as no key. Values are never changed in place.
 */
export type Fields = { readonly [key: string]: Exclude<Json, null> };

/** A change of fields; null takes a key away. */
export type Patch = { readonly [key: string]: Json };

/**
 * Kept by each client for itself. boundElements follows from the bindings of arrows and the containers of texts. status of
 * an image is about where the file's bytes are.
 */
const local: ReadonlySet<string> = new Set([
  "version", "versionNonce", "updated", "lastCommittedPoint", "boundElements", "status",
]);

const types: ReadonlySet<Json | undefined> = new Set([
  "rectangle", "diamond", "ellipse", "line", "arrow", "freedraw", "text", "image", "frame", "magicframe", "embeddable",
  "iframe",
]);

/** Whether Excalidraw can show what these are the fields of. */
export function isShowable(fields: Fields | undefined): fields is Fields {
  return fields !== undefined && types.has(fields.type);
}

export function fieldsOf(element: ExcalidrawElement): Fields {
  const fields: Record<string, Exclude<Json, null>> = {};
  for (const [key, value] of Object.entries(element)) {
    if (value !== null && value !== undefined && !local.has(key)) {
      fields[key] = value as Exclude<Json, null>;
    }
  }
  return fields;
}

/** What fields become by a change. */
export function patched(fields: Fields, patch: Patch): Fields {
  const out: Record<string, Exclude<Json, null>> = { ...fields };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      delete out[key];
    } else {
      out[key] = value;
    }
  }
  return out;
}

/** The keys in which two differ. */
export function difference(a: Fields, b: Fields): string[] {
  const keys = Object.keys(b).filter((key) => !isEqual(a[key], b[key]));
  for (const key of Object.keys(a)) {
    if (!(key in b)) {
      keys.push(key);
    }
  }
  return keys;
}

export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) {
    return false;
  }
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length
    && keys.every((key) => isEqual((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

type Check = (value: Json | undefined) => boolean;

const isNumber: Check = (v) => typeof v === "number" && Number.isFinite(v);
const isText: Check = (v) => typeof v === "string";
const isTrueOrFalse: Check = (v) => typeof v === "boolean";
const isListOf = (check: Check, least = 0): Check => (v) => Array.isArray(v) && v.length >= least && v.every(check);
const isPair: Check = (v) => Array.isArray(v) && v.length === 2 && v.every(isNumber);
const isRecord = (checks: Record<string, Check>): Check => (v) =>
  typeof v === "object" && v !== null && !Array.isArray(v)
  && Object.entries(checks).every(([key, check]) => check(v[key]));
const isOneOf = (...values: Json[]): Check => (v) => values.includes(v as Json);

/** The fields that Excalidraw relies on: what they must be, and what they are if they are not. */
type Shape = Record<string, readonly [Check, Json]>;

const binding = isRecord({ elementId: isText, focus: isNumber, gap: isNumber });

const everything: Shape = {
  x: [isNumber, 0],
  y: [isNumber, 0],
  width: [isNumber, 0],
  height: [isNumber, 0],
  angle: [isNumber, 0],
  isDeleted: [isTrueOrFalse, false],
  strokeColor: [isText, "#1e1e1e"],
  backgroundColor: [isText, "transparent"],
  fillStyle: [isOneOf("solid", "hachure", "cross-hatch", "zigzag"), "solid"],
  strokeWidth: [isNumber, 2],
  strokeStyle: [isOneOf("solid", "dashed", "dotted"), "solid"],
  roughness: [isNumber, 1],
  opacity: [isNumber, 100],
  seed: [isNumber, 1],
  groupIds: [isListOf(isText), []],
  frameId: [isText, null],
  roundness: [isRecord({ type: isNumber }), null],
  link: [isText, null],
  locked: [isTrueOrFalse, false],
};

const isArrowhead = isOneOf(
  "arrow", "bar", "dot", "circle", "circle_outline", "triangle", "triangle_outline", "diamond", "diamond_outline",
  "crowfoot_one", "crowfoot_many", "crowfoot_one_or_many",
);

const linear: Shape = {
  points: [isListOf(isPair, 2), [[0, 0], [1, 1]]],
  startBinding: [binding, null],
  endBinding: [binding, null],
  startArrowhead: [isArrowhead, null],
  endArrowhead: [isArrowhead, null],
};

const shapes: Record<string, Shape> = {
  line: linear,
  arrow: {
    ...linear,
    elbowed: [isTrueOrFalse, false],
    fixedSegments: [isListOf(isRecord({ start: isPair, end: isPair, index: isNumber })), null],
    startIsSpecial: [isTrueOrFalse, null],
    endIsSpecial: [isTrueOrFalse, null],
  },
  freedraw: {
    points: [isListOf(isPair, 1), [[0, 0]]],
    pressures: [isListOf(isNumber), []],
    simulatePressure: [isTrueOrFalse, true],
  },
  text: {
    text: [isText, ""],
    originalText: [isText, ""],
    fontSize: [isNumber, 20],
    fontFamily: [isNumber, 5],
    lineHeight: [isNumber, 1.25],
    textAlign: [isOneOf("left", "center", "right"), "left"],
    verticalAlign: [isOneOf("top", "middle", "bottom"), "top"],
    autoResize: [isTrueOrFalse, true],
    containerId: [isText, null],
  },
  image: {
    fileId: [isText, null],
    scale: [isPair, [1, 1]],
    crop: [
      isRecord({
        x: isNumber, y: isNumber, width: isNumber, height: isNumber, naturalWidth: isNumber, naturalHeight: isNumber,
      }),
      null,
    ],
  },
  frame: { name: [isText, null] },
  magicframe: { name: [isText, null] },
};

/**
 * What an element of the type begins as: null where Excalidraw wants the key even then. All elements of a type have the
 * same keys in the same order, which is what makes them fast to look at: JavaScript engines keep one layout for them.
 */
function blank(type: Json | undefined): object {
  const keys = { ...everything, ...shapes[String(type)] };
  const values = Object.entries(keys).map(([key, [, otherwise]]) => [key, otherwise === null ? null : undefined]);
  return { id: "", type, index: null, version: 0, versionNonce: 0, updated: 0, boundElements: null, ...Object.fromEntries(values) };
}

const blanks = new Map([...types].map((type) => [type, blank(type)] as const));

/** Fields that Excalidraw can work with: another program may have left some out, or made something else of them. */
export function completed(fields: Fields): Fields {
  let out: Record<string, Exclude<Json, null>> | undefined;
  for (const shape of [everything, shapes[String(fields.type)] ?? {}]) {
    for (const [key, [check, otherwise]] of Object.entries(shape)) {
      const value = fields[key];
      if (otherwise === null ? value === undefined || check(value) : check(value)) {
        continue;
      }
      out ??= { ...fields };
      if (otherwise === null) {
        delete out[key];
      } else {
        out[key] = key === "originalText" && typeof fields.text === "string" ? fields.text : otherwise;
      }
    }
  }
  return out ?? fields;
}

/** An element that takes the place of before, or is new. */
export function elementOf(fields: Fields, before: ExcalidrawElement | undefined): OrderedExcalidrawElement {
  const own: Record<string, unknown> = {};
  for (const key of local) {
    if (before !== undefined && key in before) {
      own[key] = (before as unknown as Record<string, unknown>)[key];
    }
  }
  if (fields.type === "line" || fields.type === "arrow") {
    own.lastCommittedPoint = null;
  } else if (fields.type === "freedraw") { // without it Excalidraw draws the stroke as one that goes on, short of its end
    own.lastCommittedPoint = (fields.points as Json[] | undefined)?.at(-1) ?? null;
  } else if (fields.type === "image") {
    own.status = fields.fileSha256 === undefined ? "pending" : "saved";
  }
  own.version = (before?.version ?? 0) + 1;
  own.versionNonce = nonce();
  own.updated = Date.now();
  return { ...blanks.get(fields.type), ...own, ...fields } as unknown as OrderedExcalidrawElement;
}

export function nonce(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

const position = ["x", "y", "angle"];
const box = [...position, "width", "height"];
const path = [
  ...box, "points", "startBinding", "endBinding", "elbowed", "fixedSegments", "startIsSpecial", "endIsSpecial",
];
const stroke = [...box, "points", "pressures", "simulatePressure"];
const text = [
  "text", "originalText", "fontSize", "fontFamily", "lineHeight", "textAlign", "verticalAlign", "autoResize", "containerId",
  "width", "height",
];
const picture = [...box, "scale", "crop"];
const file = ["fileId", "fileSha256", "fileMediaType"];

/**
 * The keys that must travel with a change of one: they only make sense together, and two people who change them at the
 * same time must not make a mixture. The points of a stroke, which are many, stay as they are where it is only moved.
 */
function companions(type: Json | undefined, key: string): readonly string[] {
  switch (type) {
    case "line":
    case "arrow":
      return path.includes(key) ? path : [];
    case "freedraw":
      return position.includes(key) ? box : stroke.includes(key) ? stroke : [];
    case "text":
      return text.includes(key) ? text : position.includes(key) ? position : [];
    case "image":
      return picture.includes(key) ? picture : file.includes(key) ? file : [];
    default:
      return box.includes(key) ? box : [];
  }
}

/** What to send of an element of which these keys have changed. */
export function patchOf(fields: Fields, changed: Iterable<string>): Patch {
  const keys = new Set<string>();
  for (const key of changed) {
    keys.add(key);
    companions(fields.type, key).forEach((k) => keys.add(k));
  }
  return Object.fromEntries([...keys].map((key) => [key, fields[key] ?? null]));
}
