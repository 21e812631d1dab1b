/** A place in a board's log: all that is needed to resume after it. Plain data, to be kept as JSON or in a database. */
export interface Position {
  /** UUID of the log's incarnation; may be empty only where seq is 0. */
  readonly epoch: string;
  /** Of the last frame before the place; 0 for none. Exact up to 2^53. */
  readonly seq: number;
}

export const beginning: Position = { epoch: "", seq: 0 };

export function positionOf(p: { epoch: string; seq: bigint } | undefined): Position {
  return p === undefined ? beginning : { epoch: p.epoch, seq: Number(p.seq) };
}

export function formatPosition(p: Position): string {
  return `${p.epoch}:${p.seq}`;
}
