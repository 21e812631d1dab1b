import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ObjectOpSchema, ObjectSchema, propsFromJson, propsToJson, type BoardObject } from "@collaboard/sdk";
import { describe, expect, test } from "vitest";

import { completed, difference, elementOf, fieldsOf, isShowable, patched, patchOf, type Fields } from "../../src/whiteboard/fields.js";
import { createOp, elementID, fieldsOfObject, stepOf, updateOp } from "../../src/whiteboard/mapping.js";
import { objectID } from "../../src/whiteboard/names.js";
import { normalise } from "../../src/whiteboard/normalise.js";
import { drawing, element } from "./elements.js";

function objectOf(op: ReturnType<typeof createOp>): BoardObject {
  const message = create(ObjectOpSchema, op);
  if (message.op.case !== "create" || message.op.value.object === undefined) {
    throw new Error("not a create");
  }
  return message.op.value.object;
}

describe("an element and its object", () => {
  test.each(drawing().map((e) => [e.id, e] as const))("%s comes back as it was", (_, e) => {
    const object = objectOf(createOp(fieldsOf(e)));
    const back = elementOf(completed(fieldsOfObject(object)), undefined);
    expect(normalise([back])).toEqual(normalise([e]));
    expect(Object.keys(e).filter((key) => !(key in back))).toEqual([]);
  });

  test("a stroke ends for others where it ends for its author", () => {
    const e = element("freedraw", { lastCommittedPoint: [3, 4] });
    const back = elementOf(completed(fieldsOfObject(objectOf(createOp(fieldsOf(e))))), undefined);
    expect(back).toMatchObject({ lastCommittedPoint: [3, 4] });
    expect(elementOf({ ...fieldsOf(back), points: [[0, 0], [5, 6]] }, back)).toMatchObject({ lastCommittedPoint: [5, 6] });
    expect(difference(fieldsOf(e), fieldsOf(back))).toEqual([]);
  });

  test("elements of one type have the same keys in the same order, from wherever they come", () => { // see blank()
    for (const e of drawing().map((e) => fieldsOf(e))) {
      const first = elementOf(e, undefined);
      const others = [
        elementOf(Object.fromEntries(Object.entries(e).reverse()) as Fields, undefined),
        elementOf(completed({ id: "other", type: e.type! }), undefined),
        elementOf(e, first),
      ];
      const shared = (element: object) => Object.keys(element).filter((key) => key !== "customData" && !key.startsWith("file"));
      for (const other of others) {
        expect(shared(other)).toEqual(shared(first));
      }
    }
  });

  test("have what the protocol has fields for there, and all else among the props", () => {
    const e = element("ellipse", { id: "abc", x: 1, y: 2, width: 3, height: 4, angle: 0.5, index: "b11", groupIds: ["in", "out"] });
    const object = objectOf(createOp(fieldsOf(e)));
    expect(object).toMatchObject({
      id: objectID("abc"), kind: "ellipse", x: 1, y: 2, width: 3, height: 4, rotation: 0.5, zIndex: "b11",
      groupId: objectID("out"), deleted: false,
    });
    expect(propsToJson(object.props)).toEqual({
      id: "abc", strokeColor: "#1e1e1e", backgroundColor: "transparent", fillStyle: "solid", strokeWidth: 2,
      strokeStyle: "solid", roughness: 1, opacity: 100, seed: 7, groupIds: ["in", "out"], locked: false,
    });
  });

  test("say nothing of what is each client's own", () => {
    for (const e of drawing()) {
      const keys = Object.keys(objectOf(createOp(fieldsOf(e))).props);
      for (const key of ["version", "versionNonce", "updated", "lastCommittedPoint", "boundElements", "status", "isDeleted"]) {
        expect(keys).not.toContain(key);
      }
    }
  });

  test("a note is a sticky_note there, and a rectangle here", () => {
    const note = drawing().find((e) => e.id === "note")!;
    const object = objectOf(createOp(fieldsOf(note)));
    expect(object.kind).toBe("sticky_note");
    expect(fieldsOfObject(object)).toMatchObject({ type: "rectangle", customData: { sticky: true } });
  });

  test("a text that nobody wraps is there once", () => {
    const [plain, wrapped] = [element("text"), element("text", { text: "two\nlines", originalText: "two lines" })];
    expect(Object.keys(objectOf(createOp(fieldsOf(plain))).props)).not.toContain("originalText");
    expect(Object.keys(objectOf(createOp(fieldsOf(wrapped))).props)).toContain("originalText");
    const unwrapped = { ...fieldsOf(wrapped), text: "two lines" };
    const update = stepOf(create(ObjectOpSchema, updateOp(unwrapped, patchOf(unwrapped, ["text"]))))!;
    expect(completed(patched(fieldsOf(wrapped), update.patch))).toEqual(unwrapped);
  });

  test("places that the server would refuse become the top", () => {
    for (const index of ["", "0", "zz", "a", "a00", "a 1", "é0", "A00000000000000000000000000", "b1", `a1${"1".repeat(300)}`]) {
      expect(objectOf(createOp({ ...fieldsOf(element("ellipse")), index })).zIndex, index).toBe("");
    }
    for (const index of ["a0", "Zz", "b00", "a0V", "a1l", "Xzzz1"]) {
      expect(objectOf(createOp({ ...fieldsOf(element("ellipse")), index })).zIndex, index).toBe(index);
    }
  });
});

describe("a change", () => {
  const send = (fields: Parameters<typeof updateOp>[0], patch: Parameters<typeof updateOp>[1]) =>
    create(ObjectOpSchema, updateOp(fields, patch));

  test("comes out as it went in", () => {
    const fields = fieldsOf(drawing().find((e) => e.id === "elbow")!);
    const patch = { ...patchOf(fields, ["points"]), strokeColor: "#ff0000", link: null, index: "a5" };
    const step = stepOf(send(patched(fields, patch), patch));
    expect(step).toEqual({ objectID: objectID("elbow"), patch: { ...patch, angle: 0 }, creates: false });
  });

  test("names only what it changes", () => {
    const fields = fieldsOf(element("rectangle"));
    const { op } = send(fields, patchOf(fields, ["strokeColor"]));
    expect(op).toMatchObject({ case: "update", value: { id: objectID("rectangle-1") } });
    expect(Object.keys(op.value as object).filter((key) => !key.startsWith("$")).sort()).toEqual(["id", "props", "version"]);
    expect(op.case === "update" && propsToJson(op.value.props)).toEqual({ strokeColor: "#1e1e1e" });
  });

  test("of the outermost group is one of the object's group", () => {
    const fields = { ...fieldsOf(element("rectangle")), groupIds: ["a", "b"] };
    expect(send(fields, patchOf(fields, ["groupIds"])).op.value).toMatchObject({ groupId: objectID("b") });
    expect(send({ ...fields, groupIds: [] }, { groupIds: [] }).op.value).toMatchObject({ groupId: "" });
  });

  test("that deletes is a delete, and one that takes that back says so", () => {
    const fields = { ...fieldsOf(element("rectangle")), isDeleted: true };
    expect(send(fields, { isDeleted: true }).op.case).toBe("delete");
    expect(send(fields, { isDeleted: false, opacity: 50 }).op).toMatchObject({ case: "update", value: { deleted: false } });
  });

  test.each([
    ["rectangle", "x", ["angle", "height", "width", "x", "y"]],
    ["rectangle", "strokeColor", ["strokeColor"]],
    ["text", "text", [
      "autoResize", "containerId", "fontFamily", "fontSize", "height", "lineHeight", "originalText", "text", "textAlign",
      "verticalAlign", "width",
    ]],
    ["text", "y", ["angle", "x", "y"]],
    ["freedraw", "x", ["angle", "height", "width", "x", "y"]],
    ["freedraw", "points", ["angle", "height", "points", "pressures", "simulatePressure", "width", "x", "y"]],
    ["image", "fileId", ["fileId", "fileMediaType", "fileSha256"]],
    ["image", "width", ["angle", "crop", "height", "scale", "width", "x", "y"]],
    ["arrow", "x", [
      "angle", "elbowed", "endBinding", "endIsSpecial", "fixedSegments", "height", "points", "startBinding", "startIsSpecial",
      "width", "x", "y",
    ]],
  ])("of a %s's %s takes along what belongs to it", (type, key, keys) => {
    expect(Object.keys(patchOf(fieldsOf(element(type)), [key])).sort()).toEqual(keys);
  });
});

describe("names", () => {
  test("are name-based UUIDs", () => {
    const namespace = Buffer.from("5b0cf2a61d0f4b649d7a6f1c6c3a8f21", "hex");
    for (const name of ["", "a", "oDVXy8D6rom3H1-LLH2-f", "ä€𝄞", "x".repeat(55), "y".repeat(56), "z".repeat(1000)]) {
      const hash = createHash("sha1").update(namespace).update(name).digest();
      hash[6] = (hash[6]! & 0x0f) | 0x50;
      hash[8] = (hash[8]! & 0x3f) | 0x80;
      expect(objectID(name).replaceAll("-", ""), name).toBe(hash.subarray(0, 16).toString("hex"));
      expect(objectID(name)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  test("that are UUIDs stay", () => {
    const id = "0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3";
    expect(objectID(id)).toBe(id);
    expect(elementID(create(ObjectSchema, { id }))).toBe(id);
  });

  test("that do not belong to the object are not believed", () => {
    const object = create(ObjectSchema, { id: objectID("a"), props: propsFromJson({ id: "b" }) });
    expect(elementID(object)).toBe(object.id);
  });
});

describe("what other programs make", () => {
  test("a shape with nothing but its geometry is shown", () => {
    const object = create(ObjectSchema, { id: objectID("a"), kind: "ellipse", x: 1, y: 2, width: 3, height: 4, zIndex: "a0" });
    const e = elementOf(completed(fieldsOfObject(object)), undefined);
    expect(Object.keys(element("ellipse")).filter((key) => !(key in e))).toEqual([]);
    expect(e).toMatchObject({ type: "ellipse", x: 1, strokeColor: "#1e1e1e", groupIds: [], frameId: null, opacity: 100 });
  });

  test("fields that make no sense are those of a new element", () => {
    const props = {
      id: "a", strokeColor: 7, groupIds: "x", roundness: "round", points: [[0, 0], [1]], startBinding: { elementId: 3 },
      fillStyle: "gold", opacity: "half", endArrowhead: "harpoon", type: "text", x: "left", isDeleted: true,
      ...JSON.parse('{"__proto__":{"evil":true}}'),
    };
    const object = create(ObjectSchema, { id: objectID("a"), kind: "arrow", x: 5, zIndex: "a0", props: propsFromJson(props) });
    const e = elementOf(completed(fieldsOfObject(object)), undefined) as unknown as Record<string, unknown>;
    expect(e).toMatchObject({
      type: "arrow", x: 5, isDeleted: false, strokeColor: "#1e1e1e", groupIds: [], roundness: null, startBinding: null,
      points: [[0, 0], [1, 1]], fillStyle: "solid", opacity: 100, endArrowhead: null,
    });
    expect(e.evil).toBeUndefined();
  });

  test("kinds that Excalidraw does not know are not shown", () => {
    expect(isShowable(fieldsOfObject(create(ObjectSchema, { id: objectID("a"), kind: "gantt" })))).toBe(false);
  });
});
