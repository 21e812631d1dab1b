import { BoardService, Replica, type Board, type BoardObject, type Client, type Frame } from "@collaboard/sdk";

import { changeOf, objectsOf, type Change } from "./changes.js";

/** A board as it was after one frame of its log. */
export interface Moment {
  readonly seq: number;
  /** Moves on with its log, or to another moment: to be read at once. */
  readonly replica: Replica;
  /** The last frame until then that changed objects, and which. */
  readonly change: Change | undefined;
  readonly objects: readonly string[]; // ids
}

export interface HistoryView {
  /** The moments that there are: from the first seq of the log to its last. */
  readonly first: number;
  readonly head: number;
  /** The moment that is wished for. */
  readonly seq: number;
  /** That is the newest one, whatever comes. */
  readonly now: boolean;
  /** What can be shown: until the wish is there, the one before. */
  readonly moment: Moment | undefined;
  readonly loading: boolean;
  readonly error: unknown; // of the last call
  /** What is known of the log, oldest first: changes that follow each other without a gap. */
  readonly runs: readonly (readonly Change[])[];
  /** There are older changes than those of the last run, which ends at the head. */
  readonly more: boolean;
}

/** A part of the log: frames with a greater seq than n × span, up to (n + 1) × span. */
interface Page {
  readonly frames: Frame[]; // that change objects
  readonly changes: Change[];
}

const span = 500;
const ahead = { pages: 100, bytes: 32n << 20n }; // what is loaded before anybody asks for it, of a log that is not larger
const most = 200; // pages

/**
 * Goes through a board's past. The log is read by pages. What the board was at the start of a page is what the page before
 * folds to, where that is there, or else a snapshot; from there the frames are folded up to the moment. So no way through
 * the log is longer than a page. One call is under way at a time, and the newest wish is the next to be loaded; when all
 * wishes are fulfilled the log is read from its beginning, which needs no snapshots, so that soon nothing is to be waited for.
 *
 * The newest moment is the board's own replica: the history begins with it, and follows it until another is wished for.
 * After a resync of the board the log may be another one, and needs another HistoryLog.
 */
export class HistoryLog {
  readonly #off: () => void;
  readonly #listeners = new Set<() => void>();
  readonly #pages = new Map<number, Page>();
  readonly #starts = new Map<number, Replica>(); // by page
  #first: number | undefined; // undefined until the board is known
  #prefetch = false;
  #live: Frame[] = []; // that came since
  #wish: number | undefined; // undefined for the newest
  #older = false; // the page before the last run is wished for
  #at: Replica | undefined; // which stands at a moment
  #moment: Moment | undefined;
  #error: unknown;
  #busy = false;
  #closed = false;
  #runs: readonly (readonly Change[])[] | undefined;
  #view: HistoryView;

  constructor(readonly client: Pick<Client, "call" | "callAll">, readonly board: Pick<Board, "id" | "replica" | "on">) {
    this.#moment = this.#newest();
    this.#view = this.#makeView();
    this.#off = board.on("frame", (frame) => this.#came(frame));
    void this.#work();
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };

  /** The same object until the next change. */
  readonly view = (): HistoryView => this.#view;

  close(): void {
    this.#closed = true;
    this.#off();
  }

  /** Wishes for the moment after a frame; one at or after the head is the newest, and follows it. */
  go(seq: number): void {
    this.#wish = seq >= this.#head ? undefined : Math.max(seq, this.#first ?? 1);
    this.#error = undefined;
    this.#settle();
    void this.#work();
  }

  /** Wishes for changes before those of the last run. */
  loadOlder(): void {
    this.#older = true;
    this.#error = undefined;
    void this.#work();
  }

  /** Goes on after an error: the log may begin later by now. */
  retry(): void {
    this.#first = undefined;
    this.#error = undefined;
    void this.#work();
  }

  get #head(): number {
    return this.board.replica?.seq ?? 0;
  }

  #newest(): Moment | undefined {
    const { replica } = this.board;
    return replica && this.#momentOf(replica, replica.seq);
  }

  #momentOf(replica: Replica, seq: number): Moment {
    let frame: Frame | undefined;
    for (let n = pageOf(seq); frame === undefined && this.#pages.has(n); n--) {
      frame = this.#pages.get(n)!.frames.findLast((f) => Number(f.seq) <= seq);
    }
    return { seq, replica, change: frame && changeOf(frame), objects: frame === undefined ? [] : objectsOf(frame) };
  }

  /** Makes the moment that is wished for, if all that it needs is there. */
  #settle(): void {
    if (this.#wish === undefined) {
      this.#moment = this.#newest();
      return this.#changed();
    }
    const n = pageOf(this.#wish);
    const page = this.#pages.get(n);
    const start = this.#startOf(n);
    if (page !== undefined && start !== undefined) {
      if (this.#at === undefined || this.#at.seq < start.seq || this.#at.seq > this.#wish || pageOf(this.#at.seq + 1) < n) {
        this.#at = start.copy();
      }
      fold(this.#at, page.frames, this.#wish);
      this.#moment = this.#momentOf(this.#at, this.#wish);
    }
    this.#changed();
  }

  /** What the board was at the start of a page, if that is known, or follows from the pages before. */
  #startOf(n: number): Replica | undefined {
    let start = this.#starts.get(n);
    if (start === undefined) {
      const page = this.#pages.get(n - 1);
      start = n === 0 && this.#first === 1 ? new Replica() : page && this.#startOf(n - 1)?.copy();
      if (start === undefined) {
        return undefined;
      }
      fold(start, page?.frames ?? [], n * span);
      this.#starts.set(n, start);
    }
    return start;
  }

  /** Does what there is to do, one after the other. */
  async #work(): Promise<void> {
    if (this.#busy) {
      return;
    }
    this.#busy = true;
    try {
      for (let job = this.#next(); job !== undefined && !this.#closed; job = this.#next()) {
        await job();
        this.#settle();
      }
    } catch (error) {
      this.#error = error;
      this.#changed();
    } finally {
      this.#busy = false;
    }
  }

  #next(): (() => Promise<void>) | undefined {
    if (this.#error !== undefined) {
      return undefined;
    }
    if (this.#first === undefined) {
      return () => this.#look();
    }
    const top = pageOf(this.#head);
    const n = pageOf(this.#wish ?? this.#head);
    if (!this.#pages.has(n)) {
      return () => this.#loadPage(n);
    }
    if (this.#wish !== undefined && this.#startOf(n) === undefined) {
      return () => this.#loadStart(n);
    }
    const gap = this.#gap(top);
    if (gap !== undefined && (this.#older || gap === top)) {
      this.#older = false;
      return () => this.#loadPage(gap);
    }
    return this.#prefetch ? this.#ahead(top) : undefined;
  }

  /** What nobody waits for: the log from its beginning, and what the board was at the start of each page. */
  #ahead(top: number): (() => Promise<void>) | undefined {
    const bottom = pageOf(this.#first!);
    for (let n = bottom; n <= top && n < bottom + ahead.pages; n++) {
      if (!this.#pages.has(n)) {
        return () => this.#loadPage(n);
      }
      if (!this.#starts.has(n)) {
        return async () => {
          if (this.#startOf(n) === undefined) {
            await this.#loadStart(n);
          }
          await new Promise((painted) => setTimeout(painted)); // the page has other things to do
        };
      }
    }
    return undefined;
  }

  /** The newest page that is not there. */
  #gap(top: number): number | undefined {
    for (let n = top; n >= pageOf(this.#first ?? 1); n--) {
      if (!this.#pages.has(n)) {
        return n;
      }
    }
    return undefined;
  }

  /** Reads where the log begins, and whether it is small enough to be loaded before anybody asks for it. */
  async #look(): Promise<void> {
    const boardId = this.board.id;
    let { firstSeq, headSeq } = await this.client.call(BoardService.method.getBoard, { boardId });
    let prefetch = false;
    if (Number(headSeq - firstSeq) < ahead.pages * span) {
      const { board, logBytes } = await this.client.call(BoardService.method.getBoardUsage, { boardId });
      firstSeq = board?.firstSeq ?? firstSeq;
      prefetch = logBytes <= ahead.bytes;
    }
    this.#first = Math.max(Number(firstSeq), 1);
    this.#prefetch = prefetch;
  }

  async #loadPage(n: number): Promise<void> {
    const after = Math.max(n * span, (this.#first ?? 1) - 1);
    const end = (n + 1) * span;
    const read = await this.client.callAll(BoardService.method.readLog, {
      boardId: this.board.id, from: { case: "afterSeq", value: BigInt(after) }, limit: BigInt(end - after),
    });
    const last = Number(read.at(-1)?.seq ?? after);
    const page: Page = { frames: [], changes: [] };
    [...read, ...this.#live.filter(({ seq }) => Number(seq) > last)]
      .filter(({ seq }) => Number(seq) > after && Number(seq) <= end)
      .forEach((frame) => append(page, frame));
    this.#pages.set(n, page);
    this.#runs = undefined;
    this.#forget(n);
  }

  /** Objects that are known already are not kept twice. */
  async #loadStart(n: number): Promise<void> {
    const seq = Math.max(n * span, this.#first ?? 1);
    const known = [this.board.replica, this.#at, this.#starts.get(n + 1)];
    const same = (o: BoardObject) => known.map((of) => of?.object(o.id)).find((k) => k?.version === o.version) ?? o;
    const start = new Replica();
    for (const chunk of await this.client.callAll(BoardService.method.getSnapshot, { boardId: this.board.id, atSeq: BigInt(seq) })) {
      start.load({ ...chunk, objects: chunk.objects.map(same) });
    }
    this.#starts.set(n, start);
  }

  /** Lets go what is furthest from what was loaded last, but for the newest page. */
  #forget(near: number): void {
    while (this.#pages.size > most) {
      const top = pageOf(this.#head);
      const furthest = [...this.#pages.keys()].filter((n) => n !== top).reduce((a, b) => (Math.abs(b - near) > Math.abs(a - near) ? b : a));
      this.#pages.delete(furthest);
      this.#starts.delete(furthest);
    }
  }

  #came(frame: Frame): void {
    const seq = Number(frame.seq);
    if (changeOf(frame) !== undefined) {
      const n = pageOf(seq);
      const first = Number(this.#live[0]?.seq ?? seq);
      this.#live.push(frame);
      if (!this.#pages.has(n) && this.#pages.has(n - 1) && first <= n * span) {
        this.#pages.set(n, { frames: [], changes: [] }); // all of it has come
      }
      const page = this.#pages.get(n);
      if (page !== undefined) {
        append(page, frame);
        this.#runs = undefined;
      }
    }
    if (this.#wish === undefined) {
      this.#moment = this.#newest();
    }
    this.#changed();
    void this.#work();
  }

  #changed(): void {
    this.#view = this.#makeView();
    this.#listeners.forEach((changed) => changed());
  }

  #makeView(): HistoryView {
    const seq = this.#wish ?? this.#head;
    const gap = this.#first === undefined ? 0 : this.#gap(pageOf(this.#head));
    this.#runs ??= this.#makeRuns();
    return {
      first: this.#first ?? 1, head: this.#head, seq, now: this.#wish === undefined, moment: this.#moment,
      loading: this.#error === undefined && this.#moment?.seq !== seq, error: this.#error, runs: this.#runs, more: gap !== undefined,
    };
  }

  #makeRuns(): Change[][] {
    const runs: Change[][] = [];
    let last: number | undefined;
    for (const n of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const { changes } = this.#pages.get(n)!;
      if (last === n - 1) {
        runs.at(-1)!.push(...changes);
      } else {
        runs.push([...changes]);
      }
      last = n;
    }
    return runs;
  }
}

function pageOf(seq: number): number {
  return Math.floor((Math.max(seq, 1) - 1) / span);
}

function fold(replica: Replica, frames: readonly Frame[], until: number): void {
  for (const frame of frames) {
    if (Number(frame.seq) > until) {
      return;
    }
    replica.apply(frame);
  }
}

function append(page: Page, frame: Frame): void {
  const change = changeOf(frame);
  if (change !== undefined) {
    page.frames.push(frame);
    page.changes.push(change);
  }
}
