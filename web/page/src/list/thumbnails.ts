import { BoardService, type Client } from "@collaboard/sdk";

import { loadWhiteboard } from "../board/whiteboard.js";
import type { BoardInfo } from "../board-edits.js";
import { imagesOf } from "./thumbnail-images.js";
import { readThumbnail, writeThumbnail } from "./thumbnail-store.js";

/** The most objects of which a picture is made: more take a browser too long, for a picture in which nothing can be seen. */
const maxObjects = 2000n;

let last: Promise<unknown> = Promise.resolve(); // one at a time

/**
 * A picture of the board as an SVG, from this browser's memory where the board did not change. undefined for an empty
 * board, and for one that is too large.
 */
export async function thumbnailOf(client: Client, board: BoardInfo, signal: AbortSignal): Promise<string | undefined> {
  if (board.objectCount === 0n || board.objectCount > maxObjects) {
    return undefined;
  }
  const kept = await readThumbnail(board.id);
  if (kept?.seq === Number(board.headSeq)) {
    return kept.svg;
  }
  const turn = last.then(async () => {
    if (signal.aborted) {
      return undefined;
    }
    const [chunks, { thumbnail }] = await Promise.all([
      client.callAll(BoardService.method.getSnapshot, { boardId: board.id, atSeq: board.headSeq }),
      loadWhiteboard(),
    ]);
    const objects = chunks.flatMap((chunk) => chunk.objects).filter((o) => !o.deleted);
    const { files, incomplete } = await imagesOf(client, board.id, objects, signal);
    const svg = await thumbnail(objects, "light", files);
    if (svg !== undefined && !incomplete) {
      await writeThumbnail(board.id, { seq: Number(board.headSeq), svg });
    }
    return svg;
  });
  last = turn.catch(() => {});
  return turn;
}
