import { exportToSvg } from "@excalidraw/excalidraw";
import type { BinaryFileData } from "@excalidraw/excalidraw/types";
import type { BoardObject } from "@collaboard/sdk";

import { compose, type Changes } from "./compose.js";
import { bytesOf } from "./dataurl.js";
import { completed, elementOf, isShowable, type Fields } from "./fields.js";
import { fieldsOfObject } from "./mapping.js";

/**
 * A picture of a board, as the text of an SVG; undefined for an empty board. It loads nothing: files are the data: URLs of
 * images, by Excalidraw's id, and the place of any other is grey.
 */
export async function thumbnail(
  objects: Iterable<BoardObject>, theme: "light" | "dark", files: ReadonlyMap<string, string> = new Map(),
): Promise<string | undefined> {
  const changes: Changes = new Map();
  for (const fields of [...objects].map(fieldsOfObject)) {
    if (isShowable(fields) && fields.isDeleted !== true) {
      changes.set(String(fields.id), elementOf(completed(withPlace(fields, files)), undefined));
    }
  }
  if (changes.size === 0) {
    return undefined;
  }
  const svg = await exportToSvg({
    elements: compose([], new Map(), changes, new Set(), () => true).list, // texts are drawn with what they are bound to
    files: Object.fromEntries([...files].map(([id, dataURL]) => [id, {
      id, dataURL, mimeType: bytesOf(dataURL).mediaType, created: 0,
    } as BinaryFileData])),
    appState: {
      exportBackground: true, viewBackgroundColor: "#ffffff", exportWithDarkMode: theme === "dark", exportEmbedScene: false,
    },
    exportPadding: 16,
    skipInliningFonts: true,
    renderEmbeddables: false,
  });
  return svg.outerHTML;
}

function withPlace(fields: Fields, files: ReadonlyMap<string, string>): Fields {
  if (fields.type !== "image" || files.has(String(fields.fileId))) {
    return fields;
  }
  const { roundness: _, ...place } = fields;
  return {
    ...place, type: "rectangle", strokeColor: "#ced4da", strokeWidth: 1, strokeStyle: "solid", roughness: 0, backgroundColor: "#f1f3f5",
    fillStyle: "solid",
  };
}
