import { exportToSvg } from "@excalidraw/excalidraw";
import type { BoardObject } from "@collaboard/sdk";

import { completed, elementOf, isShowable } from "./fields.js";
import { fieldsOfObject } from "./mapping.js";

/** A picture of a board, as the text of an SVG; undefined for an empty board. It loads nothing. */
export async function thumbnail(
  objects: Iterable<BoardObject>, theme: "light" | "dark",
): Promise<string | undefined> {
  const elements = [...objects]
    .filter((object) => !object.deleted)
    .sort((a, b) => (a.zIndex < b.zIndex ? -1 : 1))
    .map(fieldsOfObject)
    .filter(isShowable)
    .map((fields) => elementOf(completed(fields), undefined));
  if (elements.length === 0) {
    return undefined;
  }
  const svg = await exportToSvg({
    elements,
    files: null,
    appState: { exportBackground: true, exportWithDarkMode: theme === "dark", exportEmbedScene: false },
    exportPadding: 16,
    skipInliningFonts: true,
    renderEmbeddables: false,
  });
  return svg.outerHTML;
}
