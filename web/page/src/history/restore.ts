import { BoardService, type Client } from "@collaboard/sdk";

const { readLog, restoreBoard, restoreObject } = BoardService.method;

/**
 * Brings a board back to a moment. Returns the moment before that, to undo it, or undefined where the board was like that
 * already. The same call with the same frame id is done once.
 */
export async function bringBack(
  client: Pick<Client, "call" | "stream">, boardId: string, seq: number, frameId: string,
): Promise<number | undefined> {
  const { position } = await client.call(restoreBoard, { boardId, to: { case: "atSeq", value: BigInt(seq) }, frameId });
  const from = { case: "beforeSeq", value: (position?.seq ?? 0n) + 1n } as const;
  let before: number | undefined;
  for await (const frame of client.stream(readLog, { boardId, from })) { // it may be several frames, one after the other
    const restored = frame.payload.case === "objectBatch" ? frame.payload.value.restoredSeq : undefined;
    if (restored !== BigInt(seq) || (before === undefined && frame.id !== frameId)) {
      break;
    }
    before = Number(frame.seq) - 1;
  }
  return before;
}

/** Does the same to one object. */
export async function bringObjectBack(
  client: Pick<Client, "call">, boardId: string, objectId: string, seq: number, frameId: string,
): Promise<number | undefined> {
  const { position, changed } = await client.call(restoreObject, { boardId, objectId, to: { case: "atSeq", value: BigInt(seq) }, frameId });
  return changed ? Number(position?.seq ?? 0n) - 1 : undefined;
}
