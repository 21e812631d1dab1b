// Where frames survive a reload, a crash of the browser, and the end of a tab: a database of IndexedDB.
//
// Each client of an origin owns the frames that it stored, and holds a Web Lock in its name for as long as it lives. The
// browser frees the lock when the tab is gone, however it went; whoever gets it then takes the frames over. So no two
// tabs send the same frame at the same time. Where there are no Web Locks a client takes over everything that it finds
// when it starts: a frame may then be sent twice, and is in the log once, because of its id.

import { decodeFrame } from "./frames.js";

/** What is kept of a frame. */
export interface Kept {
  readonly id: string;
  readonly board: string;
  readonly body: Uint8Array;
}

/** Frames that were stored together: in a row of their own each, many of them would take fifteen times as long. */
export interface Stored {
  readonly key: number;
  readonly frames: readonly Kept[];
}

/** What one transaction does. */
export interface Changes {
  readonly add: readonly Kept[]; // as a new row, if there are any
  readonly put: readonly Stored[]; // in the place of what the row had
  readonly remove: readonly number[];
}

type Row = { owner: string } & ({ frames: Uint8Array[] } | { body: Uint8Array }); // version 1 had a row for each frame

/** What is used of navigator.locks. */
export type Locks = Pick<LockManager, "request">;

const table = "frames";

export class FrameStore {
  #closed = new AbortController();
  #watched = new Set<string>(); // owners whose end is waited for

  private constructor(
    readonly db: IDBDatabase,
    readonly owner: string,
    readonly locks: Locks | undefined,
  ) {}

  /**
   * Opens the database called name, and takes the lock of owner, which nobody else may be called. lost is called where
   * somebody else makes an end of it.
   */
  static async open(
    name: string, owner: string, factory: IDBFactory, locks: Locks | undefined, lost: (error: Error) => void,
  ): Promise<FrameStore> {
    const opening = factory.open(name, 2);
    opening.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) {
        // Keys grow in the order of the transactions: they are the order of the frames.
        opening.result.createObjectStore(table, { autoIncrement: true }).createIndex("owner", "owner");
      }
    };
    const store = new FrameStore(await result(opening), owner, locks);
    store.db.onversionchange = () => { // another version of the program, or somebody deletes it
      store.close();
      lost(new Error("the database was deleted, or is that of a newer version"));
    };
    await new Promise<void>((granted, failed) => {
      if (locks === undefined) {
        return granted();
      }
      locks
        .request(store.#lockOf(owner), () => {
          granted();
          return new Promise<void>((free) => store.#closed.signal.addEventListener("abort", () => free()));
        })
        .catch(failed);
      return undefined;
    });
    return store;
  }

  /** Does all or nothing, and returns the key of the new row, or 0. Make calls in the order of their frames. */
  async change({ add, put, remove }: Changes): Promise<number> {
    if (add.length + put.length + remove.length === 0) {
      return 0;
    }
    const tx = this.db.transaction(table, "readwrite");
    const rows = tx.objectStore(table);
    const added = add.length > 0 ? rows.add(this.#row(add)) : undefined;
    put.forEach(({ key, frames }) => rows.put(this.#row(frames), key));
    runs(remove).forEach(([first, last]) => rows.delete(IDBKeyRange.bound(first, last)));
    tx.commit(); // or it would wait until the requests have been answered
    await done(tx);
    return added === undefined ? 0 : Number(added.result);
  }

  /**
   * Takes over the frames of the clients that are gone, and calls found with them, for each client, in their order. It
   * returns when that is done; found is called later, too, when a client ends that lives now.
   */
  async adopt(found: (rows: Stored[]) => void): Promise<void> {
    const tx = this.db.transaction(table);
    const owners = new Set<string>();
    const cursor = tx.objectStore(table).index("owner").openKeyCursor(null, "nextunique");
    cursor.onsuccess = () => {
      if (cursor.result !== null) {
        owners.add(String(cursor.result.key));
        cursor.result.continue();
      }
    };
    await done(tx);
    owners.delete(this.owner);
    for (const owner of owners) {
      const take = async () => {
        const rows = await this.#take(owner);
        if (rows.length > 0) {
          found(rows);
        }
      };
      if (this.locks === undefined) {
        await take();
      } else if (!this.#watched.has(owner)) {
        const taken = await this.locks.request(this.#lockOf(owner), { ifAvailable: true }, async (lock) => {
          if (lock !== null) {
            await take();
          }
          return lock !== null;
        });
        if (!taken) {
          this.#watch(owner, take);
        }
      }
    }
  }

  close(): void {
    this.#closed.abort();
    this.db.close();
  }

  #watch(owner: string, take: () => Promise<void>): void {
    this.#watched.add(owner);
    this.locks
      ?.request(this.#lockOf(owner), { signal: this.#closed.signal }, async () => {
        if (!this.#closed.signal.aborted) {
          await take();
        }
      })
      .catch(() => {}) // closed meanwhile, or the database failed: the next client that starts will find them
      .finally(() => this.#watched.delete(owner));
  }

  /** Makes the frames of another owner this one's. */
  async #take(owner: string): Promise<Stored[]> {
    const tx = this.db.transaction(table, "readwrite");
    const rows: Stored[] = [];
    const cursor = tx.objectStore(table).index("owner").openCursor(owner);
    cursor.onsuccess = () => {
      const at = cursor.result;
      if (at !== null) {
        const row = at.value as Row;
        const frames = ("frames" in row ? row.frames : [row.body]).map((body) => {
          const { id, boardId } = decodeFrame(body);
          return { id, board: boardId, body };
        });
        rows.push({ key: Number(at.primaryKey), frames });
        at.update(this.#row(frames));
        at.continue();
      }
    };
    await done(tx);
    return rows;
  }

  #row(frames: readonly Kept[]): Row {
    return { owner: this.owner, frames: frames.map(({ body }) => body) }; // which has all that there is
  }

  #lockOf(owner: string): string {
    return `collaboard:${this.db.name}:${owner}`;
  }
}

/** Keys that follow each other, as first and last: to delete a range takes little longer than to delete one row. */
function runs(keys: readonly number[]): [first: number, last: number][] {
  const all: [number, number][] = [];
  for (const key of [...keys].sort((a, b) => a - b)) {
    const last = all.at(-1);
    if (last?.[1] === key - 1) {
      last[1] = key; // between the two there is no other's: keys are whole numbers
    } else {
      all.push([key, key]);
    }
  }
  return all;
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the database failed"));
  });
}

function done(tx: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onerror = tx.onabort = () => reject(tx.error ?? new Error("the database gave up the transaction"));
  });
}
