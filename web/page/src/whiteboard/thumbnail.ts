import { exportToSvg } from "@excalidraw/excalidraw";
import type { BoardObject } from "@collaboard/sdk";

import { compose, type Changes } from "./compose.js";
import { completed, elementOf, isShowable } from "./fields.js";
import { fieldsOfObject } from "./mapping.js";

/** A picture of a board, as the text of an SVG; undefined for an empty board. It loads nothing. */
export async function thumbnail(
  objects: Iterable<BoardObject>, theme: "light" | "dark",
): Promise<string | undefined> {
  const changes: Changes = new Map();
  for (const fields of [...objects].map(fieldsOfObject)) {
    if (isShowable(fields) && fields.isDeleted !== true) {
      changes.set(String(fields.id), elementOf(completed(fields), undefined));
    }
  }
  if (changes.size === 0) {
    return undefined;
  }
  const svg = await exportToSvg({
    elements: compose([], new Map(), changes, new Set(), () => true).list, // texts are drawn with what they are bound to
    files: null,
    appState: {
      exportBackground: true, viewBackgroundColor: "#ffffff", exportWithDarkMode: theme === "dark", exportEmbedScene: false,
    },
    exportPadding: 16,
    skipInliningFonts: true,
    renderEmbeddables: false,
  });
  return svg.outerHTML;
}
