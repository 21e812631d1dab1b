import { fieldsOf, type Fields } from "../page/src/whiteboard/fields.ts";

interface Box {
  readonly id: string;
  readonly text: string;
  readonly at: readonly [x: number, y: number];
  readonly size?: readonly [width: number, height: number];
  readonly fill?: string;
  readonly type?: "rectangle" | "ellipse" | "diamond";
}

const boxes: readonly Box[] = [
  { id: "client", text: "Client", at: [0, 40], fill: "#a5d8ff" },
  { id: "session", text: "Session", at: [260, 40], fill: "#b2f2bb" },
  { id: "committer", text: "Committer", at: [520, 40], fill: "#b2f2bb" },
  { id: "database", text: "Database", at: [780, 30], size: [160, 90], fill: "#ffec99", type: "ellipse" },
  { id: "room", text: "Room", at: [520, 280], fill: "#b2f2bb" },
  { id: "peers", text: "Everybody\nelse", at: [780, 265], size: [160, 100], fill: "#a5d8ff" },
  { id: "durable", text: "Durable?", at: [240, 255], size: [180, 120], fill: "#ffc9c9", type: "diamond" },
];

const arrows: readonly (readonly [from: string, to: string])[] = [
  ["client", "session"], ["session", "committer"], ["committer", "database"], ["committer", "room"], ["room", "peers"], ["room", "durable"],
];

/** A drawing to show: boxes with labels, and arrows between them. */
export function picture(): Fields[] {
  const elements: Record<string, unknown>[] = [];
  const size = ({ size = [160, 70] }: Box) => size;
  for (const [n, box] of boxes.entries()) {
    const [width, height] = size(box);
    const [x, y] = box.at;
    const lines = box.text.split("\n");
    const textWidth = 10.5 * Math.max(...lines.map((line) => line.length));
    elements.push({
      id: box.id, type: box.type ?? "rectangle", x, y, width, height, backgroundColor: box.fill ?? "transparent", seed: n + 1,
      roundness: box.type === undefined ? { type: 3 } : { type: 2 },
    }, {
      id: `${box.id}-label`, type: "text", x: x + (width - textWidth) / 2, y: y + (height - 25 * lines.length) / 2, width: textWidth,
      height: 25 * lines.length, text: box.text, originalText: box.text, fontSize: 20, fontFamily: 5, lineHeight: 1.25, textAlign: "center",
      verticalAlign: "middle", containerId: box.id, autoResize: true, seed: 100 + n,
    });
  }
  for (const [n, [from, to]] of arrows.entries()) {
    const [a, b] = [from, to].map((id) => boxes.find((box) => box.id === id)!) as [Box, Box];
    const [[ax, ay], [aw, ah], [bx, by], [bw, bh]] = [a.at, size(a), b.at, size(b)];
    const gap = 6;
    const down = by > ay + ah;
    const left = bx + bw < ax;
    const start = down ? [ax + aw / 2, ay + ah + gap] : left ? [ax - gap, ay + ah / 2] : [ax + aw + gap, ay + ah / 2];
    const end = down ? [bx + bw / 2, by - gap] : left ? [bx + bw + gap, by + bh / 2] : [bx - gap, by + bh / 2];
    const [dx, dy] = [end[0]! - start[0]!, end[1]! - start[1]!];
    elements.push({
      id: `${from}-${to}`, type: "arrow", x: start[0], y: start[1], width: Math.abs(dx), height: Math.abs(dy), points: [[0, 0], [dx, dy]],
      startBinding: { elementId: from, focus: 0, gap }, endBinding: { elementId: to, focus: 0, gap }, endArrowhead: "arrow", elbowed: false,
      roundness: { type: 2 }, seed: 200 + n,
    });
  }
  return elements.map((element) => fieldsOf({
    angle: 0, strokeColor: "#1e1e1e", backgroundColor: "transparent", fillStyle: "solid", strokeWidth: 2, strokeStyle: "solid", roughness: 1,
    opacity: 100, groupIds: [], locked: false, isDeleted: false, ...element,
  } as unknown as Parameters<typeof fieldsOf>[0]));
}
