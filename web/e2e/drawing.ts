import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";

/** What is in a file of Excalidraw. */
export interface Drawing {
  readonly elements: ExcalidrawElement[];
  readonly files: Record<string, { dataURL: string }>;
}

export const drawingType = "application/vnd.excalidraw+json";

/** One of everything that can be drawn. Excalidraw fills in what is left out. */
export function everything(): string {
  const box = { x: 0, y: 0, width: 100, height: 60, strokeColor: "#1971c2" };
  const text = { ...box, type: "text", text: "Text", originalText: "Text", fontSize: 20, fontFamily: 5, lineHeight: 1.25 };
  const line = { ...box, points: [[0, 0], [50, 20], [100, 60]] };
  const elements = [
    { ...box, id: "frame", type: "frame", name: "A frame", y: 300, width: 300, height: 200 },
    { ...box, id: "child", type: "rectangle", x: 20, y: 330, frameId: "frame" },
    { ...box, id: "rectangle", type: "rectangle", boundElements: [{ id: "label", type: "text" }, { id: "arrow", type: "arrow" }] },
    { ...text, id: "label", x: 30, y: 17.5, width: 40, height: 25, containerId: "rectangle", textAlign: "center", verticalAlign: "middle" },
    { ...box, id: "ellipse", type: "ellipse", x: 300, groupIds: ["inner", "outer"], boundElements: [{ id: "arrow", type: "arrow" }] },
    { ...box, id: "diamond", type: "diamond", x: 450, groupIds: ["outer"], angle: 0.5, backgroundColor: "#ffec99", fillStyle: "hachure" },
    {
      ...line, id: "arrow", type: "arrow", x: 105, y: 30, width: 190, height: 0, points: [[0, 0], [190, 0]], endArrowhead: "triangle",
      startBinding: { elementId: "rectangle", focus: 0, gap: 5 }, endBinding: { elementId: "ellipse", focus: 0, gap: 5 },
    },
    { ...line, id: "elbow", type: "arrow", y: 100, elbowed: true, points: [[0, 0], [50, 0], [50, 60], [100, 60]], endArrowhead: "arrow" },
    { ...line, id: "line", type: "line", x: 150, y: 100, roundness: { type: 2 }, strokeStyle: "dashed" },
    { ...line, id: "stroke", type: "freedraw", x: 300, y: 100, pressures: [0.1, 0.5, 0.9], simulatePressure: false },
    { ...text, id: "text", x: 450, y: 100, width: 40, height: 25, link: "https://example.com/", opacity: 40 },
    { ...box, id: "image", type: "image", y: 200, width: 40, height: 40, fileId: "picture", status: "saved", scale: [-1, 1] },
    { ...box, id: "locked", type: "rectangle", x: 150, y: 200, locked: true, roundness: { type: 3 }, customData: { any: [1, "two"] } },
    { ...box, id: "gone", type: "rectangle", isDeleted: true },
  ];
  const picture = { // one pixel
    id: "picture", mimeType: "image/png", created: 1,
    dataURL: "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
  };
  return JSON.stringify({ type: "excalidraw", version: 2, source: "", elements, appState: {}, files: { picture } });
}
