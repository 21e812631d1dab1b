import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";

const base = {
  x: 10, y: 20, width: 100, height: 50, angle: 0, strokeColor: "#1e1e1e", backgroundColor: "transparent",
  fillStyle: "solid", strokeWidth: 2, strokeStyle: "solid", roughness: 1, opacity: 100, seed: 7, groupIds: [],
  frameId: null, roundness: null, link: null, locked: false, isDeleted: false, boundElements: null, index: "a0",
};

const own: Record<string, object> = {
  line: {
    points: [[0, 0], [100, 50]], lastCommittedPoint: null, startBinding: null, endBinding: null, startArrowhead: null,
    endArrowhead: null,
  },
  arrow: {
    points: [[0, 0], [100, 50]], lastCommittedPoint: null, startBinding: null, endBinding: null, startArrowhead: null,
    endArrowhead: "arrow", elbowed: false,
  },
  freedraw: {
    points: [[0, 0], [1.5, 2.25], [3, 4]], pressures: [0.1, 0.5, 0.9], simulatePressure: false, lastCommittedPoint: null,
  },
  text: {
    text: "hello", originalText: "hello", fontSize: 20, fontFamily: 5, lineHeight: 1.25, textAlign: "left",
    verticalAlign: "top", autoResize: true, containerId: null,
  },
  image: { fileId: "file", status: "pending", scale: [1, 1], crop: null },
  frame: { name: null },
};

let nonce = 1000;

/** An element as Excalidraw makes it. */
export function element(type: string, fields: Record<string, unknown> = {}): ExcalidrawElement {
  return {
    ...base, type, id: `${type}-1`, version: 1, versionNonce: ++nonce, updated: 1, ...own[type], ...fields,
  } as unknown as ExcalidrawElement;
}

/** One of every type, with what they can have, bound to each other. */
export function drawing(): ExcalidrawElement[] {
  const fixed = (elementId: string) => ({ elementId, focus: 0.25, gap: 4.5, fixedPoint: [0.5001, 1.05] });
  return [
    element("frame", { id: "frame", name: "Sprint 1", index: "Zz" }),
    element("rectangle", {
      id: "box", index: "a0", frameId: "frame", roundness: { type: 3, value: 12 },
      boundElements: [{ id: "label", type: "text" }, { id: "arrow", type: "arrow" }, { id: "elbow", type: "arrow" }],
    }),
    element("text", {
      id: "label", index: "a0V", containerId: "box", text: "two\nlines", originalText: "two lines", textAlign: "center",
      verticalAlign: "middle",
    }),
    element("ellipse", { id: "ellipse", index: "a1", angle: 1.25, groupIds: ["inner", "outer"], link: "https://example.org/" }),
    element("diamond", {
      id: "diamond", index: "a2", groupIds: ["inner", "outer"], boundElements: [{ id: "arrow", type: "arrow" }], locked: true,
    }),
    element("arrow", {
      id: "arrow", index: "a3", x: -5.125, width: -120, points: [[0, 0], [-60.5, 3], [-120, 50]],
      startBinding: { elementId: "box", focus: -0.5, gap: 1 }, endBinding: { elementId: "diamond", focus: 0, gap: 8.25 },
    }),
    element("arrow", {
      id: "elbow", index: "a4", elbowed: true, startBinding: fixed("box"), points: [[0, 0], [50, 0], [50, 50], [100, 50]],
      fixedSegments: [{ start: [50, 0], end: [50, 50], index: 2 }], startIsSpecial: null, endIsSpecial: false,
    }),
    element("line", { id: "line", index: "a5", strokeStyle: "dashed", roundness: { type: 2 } }),
    element("freedraw", { id: "stroke", index: "a6", opacity: 40 }),
    element("text", { id: "text", index: "a7", text: "free", originalText: "free", customData: { nested: [1, { a: null }] } }),
    element("image", { id: "image", index: "a8", scale: [-1, 1], crop: {
      x: 1, y: 2, width: 3, height: 4, naturalWidth: 10, naturalHeight: 20,
    } }),
    element("embeddable", { id: "embed", index: "a9", link: "https://example.org/video" }),
    element("rectangle", { id: "note", index: "aA", customData: { sticky: true }, backgroundColor: "#ffec99" }),
  ];
}
