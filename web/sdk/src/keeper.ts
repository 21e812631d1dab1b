import { newID } from "./ids.js";
import type { ClientOptions } from "./options.js";
import { newEntry, type Entry } from "./outbox.js";
import { FrameStore, type Stored } from "./store.js";

/** Entries that are in one row of the store, or on their way there. */
export class StoredRow {
  readonly left: Set<Entry>; // not answered
  refused = false; // one of them was, for good, and is in the row still
  #size: number; // as it was written

  /** A key of 0 is no row's: it is not there. */
  constructor(entries: readonly Entry[], public key = 0) {
    this.left = new Set(entries);
    this.#size = entries.length;
    entries.forEach((entry) => (entry.row = this));
  }

  /** Whether to write what is left anew. What was refused must not be sent again; and who waits must not keep much. */
  get isStale(): boolean {
    return this.refused || 4 * this.left.size <= this.#size;
  }

  rewritten(): Stored {
    this.refused = false;
    this.#size = this.left.size;
    return { key: this.key, frames: [...this.left] };
  }
}

// How long, in ms, acked frames may stay in the store, and of how many rows: each removal is a transaction, for which what
// is to be stored next would wait. Sent once more, they are known by their ids.
const removePause = 100;
const removeRows = 64;

// How long, in ms, after a transaction the next one waits while answers come: most of what is submitted meanwhile is acked
// before it was its turn. Where none comes, nothing waits.
const storePause = 10;

/** What a keeper tells its client. */
export interface KeeperHandler {
  adopt(entries: Entry[]): void;
  failed(error: unknown): void;
}

/** What the names of the databases for a server begin with. The user's id follows. */
function prefixOf(url: string): string {
  return `collaboard ${new URL(url).href} `;
}

/**
 * Returns the ids of users who have a database of frames for a server in this browser, in no order. Frames are there at
 * once, while what an application remembers elsewhere, such as in localStorage, may be gone with a crash.
 */
export async function formerUsers(url: string, factory: IDBFactory = globalThis.indexedDB): Promise<string[]> {
  const prefix = prefixOf(url);
  const databases = await factory.databases();
  return databases.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])).filter((id) => id !== "");
}

/**
 * Keeps the entries of an outbox in a store, if there is one, in the order submitted. Nothing waits for that to be sent:
 * an entry that is answered before it was its turn is not stored at all. What is stored or removed while a transaction is
 * under way goes together into the next one. Where the store fails the client goes on without.
 */
export class Keeper {
  /** Resolves when what was left by clients that are gone has been adopted. It never rejects. */
  readonly opened: Promise<void>;
  #isOpen = false;
  #keeps = true;
  #store: FrameStore | undefined;
  #adding = new Set<Entry>(); // in the order submitted
  #answered = new Set<StoredRow>(); // rows that have entries that were answered
  #removes = false; // with the next transaction
  #timer: ReturnType<typeof setTimeout> | undefined;
  #working: Promise<void> | undefined;
  #answers = false; // some came since the last transaction began
  #storeAt = 0; // not before, while answers come

  constructor(options: ClientOptions, readonly handler: KeeperHandler, readonly isKnown: (id: string) => boolean) {
    this.opened = this.#open(options)
      .catch((error: unknown) => this.#failed(error))
      .then(() => {
        this.#isOpen = true;
        this.#work();
      });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether entries survive the end of the page, as far as is known. */
  get keeps(): boolean {
    return this.#keeps;
  }

  /** Puts an entry into the store, after those before it, unless it is answered until then. */
  store(entry: Entry): void {
    this.#adding.add(entry);
    if (!this.#answers || performance.now() >= this.#storeAt) {
      this.#work();
    }
  }

  /** Takes an entry that was answered out of the store: soon, and one that was refused for good at once. */
  remove(entry: Entry, refused: boolean): void {
    this.#answers = true;
    this.#adding.delete(entry);
    entry.stored();
    const { row } = entry;
    if (row === undefined) {
      return;
    }
    row.left.delete(entry);
    row.refused ||= refused;
    this.#answered.add(row);
    if (refused || this.#answered.size >= removeRows) {
      this.#remove();
    } else {
      this.#timer ??= setTimeout(() => this.#remove(), removePause);
    }
  }

  /** Looks for frames that other clients left, where there are locks to tell which of them live. */
  adopt(): void {
    if (this.#store?.locks !== undefined) {
      this.#store.adopt((frames) => this.#adopted(frames)).catch((error: unknown) => this.#failed(error));
    }
  }

  /** Resolves when everything is stored and removed. */
  async close(): Promise<void> {
    await this.opened;
    for (this.#remove(); this.#working !== undefined; this.#remove()) {
      await this.#working;
    }
    this.#store?.close();
  }

  async #open({ storage, url, userId }: ClientOptions): Promise<void> {
    const factory = storage === false ? undefined : (storage?.indexedDB ?? globalThis.indexedDB);
    if (storage === false || factory === undefined) {
      this.#keeps = false;
      return;
    }
    const name = storage?.name ?? `${prefixOf(url)}${userId ?? ""}`;
    const locks = storage?.locks ?? globalThis.navigator?.locks;
    this.#store = await FrameStore.open(name, newID(), factory, locks, (error) => this.#failed(error));
    await this.#store.adopt((frames) => this.#adopted(frames));
  }

  #failed(error: unknown): void {
    this.#keeps = false;
    this.handler.failed(error);
  }

  #adopted(rows: Stored[]): void {
    const entries: Entry[] = [];
    for (const { key, frames } of rows) {
      const unknown = frames.filter(({ id }) => !this.isKnown(id));
      const row = new StoredRow(unknown.map(({ id, board, body }) => newEntry(id, board, body).entry), key);
      entries.push(...row.left);
    }
    if (entries.length > 0) {
      this.handler.adopt(entries);
    }
  }

  #remove(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#removes = this.#answered.size > 0;
    this.#work();
  }

  #work(): void {
    if (this.#isOpen && this.#working === undefined && (this.#adding.size > 0 || this.#removes)) {
      this.#working = this.#transact()
        .catch((error: unknown) => this.#failed(error))
        .then(() => {
          this.#working = undefined;
          this.#storeAt = performance.now() + storePause;
          if (this.#removes || !this.#answers) {
            this.#work();
          }
          setTimeout(() => this.#work(), storePause);
        });
    }
  }

  async #transact(): Promise<void> {
    await undefined; // what the present turn submits goes together
    this.#answers = false;
    const adding = [...this.#adding];
    this.#adding.clear();
    const answered = this.#removes ? [...this.#answered].filter(({ key }) => key !== 0) : [];
    if (this.#removes) {
      this.#removes = false;
      this.#answered.clear();
    }
    try {
      if (this.#store !== undefined) {
        const row = new StoredRow(adding); // before it has its key: entries may be answered while it is written
        row.key = await this.#store.change({
          add: adding,
          put: answered.filter((row) => row.left.size > 0 && row.isStale).map((row) => row.rewritten()),
          remove: answered.filter((row) => row.left.size === 0).map((row) => row.key),
        });
      }
    } finally {
      adding.forEach((entry) => entry.stored());
    }
  }
}
