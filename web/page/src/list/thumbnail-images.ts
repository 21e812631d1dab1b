import { BoardService, type BoardObject, type Client } from "@collaboard/sdk";

import type { Fields } from "../whiteboard/fields.js";
import { fieldsOfObject } from "../whiteboard/mapping.js";

const most = 8; // images of one picture
const maxBytes = 8 << 20; // that are fetched for it
const side = 400; // px of the longer one, in the picture

/** The images of a board's picture, made small. */
export interface Images {
  readonly files: ReadonlyMap<string, string>; // data: URLs, by Excalidraw's id
  /** Whether another try may have more. */
  readonly incomplete: boolean;
}

/** Fetches the largest images that are on the board, as far as they are few and small enough. */
export async function imagesOf(client: Client, boardId: string, objects: readonly BoardObject[], signal: AbortSignal): Promise<Images> {
  const files = new Map<string, string>();
  let incomplete = false;
  let room = maxBytes;
  for (const { id, sha256 } of largest(objects.map(fieldsOfObject)).slice(0, most)) {
    if (signal.aborted) {
      return { files, incomplete: true };
    }
    try {
      const file = await fetchFile(client, boardId, sha256, room);
      if (file !== undefined) {
        room -= file.size;
        files.set(id, await shrink(file));
      }
    } catch {
      incomplete = true; // a placeholder does
    }
  }
  return { files, incomplete };
}

/** The files that are shown, the one that takes most room on the board first. */
export function largest(elements: readonly Fields[]): { id: string; sha256: string }[] {
  const areas = new Map<string, { id: string; sha256: string; area: number }>();
  for (const { type, isDeleted, fileId: id, fileSha256: sha256, width, height } of elements) {
    if (type === "image" && isDeleted !== true && typeof id === "string" && typeof sha256 === "string") {
      const area = Number(width) * Number(height);
      areas.set(id, { id, sha256, area: Math.max(area, areas.get(id)?.area ?? 0) });
    }
  }
  return [...areas.values()].sort((a, b) => b.area - a.area).map(({ id, sha256 }) => ({ id, sha256 }));
}

/** undefined where it is larger than room: then no more than its beginning is fetched. */
async function fetchFile(client: Client, boardId: string, sha256: string, room: number): Promise<Blob | undefined> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let type = "";
  for await (const { file, content } of client.stream(BoardService.method.getFile, { boardId, sha256 })) {
    if (file !== undefined && file.size > BigInt(room)) {
      return undefined;
    }
    type = file?.mediaType ?? type;
    pieces.push(content as Uint8Array<ArrayBuffer>);
  }
  return new Blob(pieces, { type });
}

async function shrink(file: Blob): Promise<string> {
  const url = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const scale = Math.min(1, side / Math.max(image.naturalWidth, image.naturalHeight, 1));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/webp", 0.8); // a PNG where a browser makes none
  } finally {
    URL.revokeObjectURL(url);
  }
}
