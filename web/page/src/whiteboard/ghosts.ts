import type { Board, Ephemeral } from "@collaboard/sdk";

import { opBytes, sizeOf, thinned } from "./batches.js";
import type { Unsent } from "./engine.js";
import { completed, patched } from "./fields.js";
import { createOp, updateOp, type Op } from "./mapping.js";

/** ms that a ghost is shown for if no other comes. */
export const ghostLife = 3000;

const pause = 50; // ms between two
const mostBytes = 48 << 10;
const mostOps = 1000;
const strokeBytes = 16 << 10; // of one stroke

/** Shows others what the user's gestures will do. */
export class Ghosts {
  #sentAt = -Infinity;
  #seen = false; // by others, perhaps

  constructor(readonly board: Pick<Board, "members" | "signal">) {}

  /** isNew says whether others have nothing of an element. Returns when to send the next. */
  send(now: number, unsent: () => ReadonlyMap<string, Unsent>, isNew: (id: string) => boolean): number {
    if (this.board.members.length < 2) {
      return Infinity;
    }
    if (now < this.#sentAt + pause) {
      return this.#sentAt + pause;
    }
    const ops: Op[] = [];
    let bytes = 0;
    for (const [id, { patch, fields }] of unsent()) {
      const creates = isNew(id);
      const whole = creates ? fields : patch;
      const less = thinned(whole, strokeBytes) ?? whole;
      const size = sizeOf(less) + opBytes;
      if (bytes + size <= mostBytes && ops.length < mostOps) {
        ops.push(creates ? createOp(completed(patched(fields, less))) : updateOp(fields, less));
        bytes += size;
      }
    }
    if (ops.length > 0) {
      this.board.signal({ case: "objectDrag", value: { ops } } as Ephemeral);
      this.#seen = true;
    }
    this.#sentAt = now;
    return now + ghostLife / 3; // whoever holds still is still there
  }

  /** What was shown is on the board: a ghost that was late must not stay. */
  end(): void {
    if (this.#seen) {
      this.#seen = false;
      this.board.signal({ case: "objectDrag", value: { ops: [] } });
    }
  }
}
