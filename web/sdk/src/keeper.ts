import { newID } from "./ids.js";
import type { ClientOptions } from "./options.js";
import type { Entry } from "./outbox.js";
import { FrameStore, type Stored } from "./store.js";

/** What a keeper tells its client. */
export interface KeeperHandler {
  adopt(frames: Stored[]): void;
  changed(): void; // frames may be sent that could not be before
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
 * Keeps the entries of an outbox in a store, if there is one, and marks them as ready to be sent once they are there.
 * What is stored or removed while a transaction is under way goes together into the next one. Where the store fails the
 * client goes on without: what was submitted is still sent.
 */
export class Keeper {
  /** Resolves when what was left by clients that are gone has been adopted. It never rejects. */
  readonly opened: Promise<void>;
  #isOpen = false;
  #keeps = true;
  #store: FrameStore | undefined;
  #adding: { entry: Entry; stored: () => void }[] = [];
  #removing: number[] = [];
  #working: Promise<void> | undefined;

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

  /** Resolves when the entry is stored, or cannot be. */
  store(entry: Entry): Promise<void> {
    return new Promise((stored) => {
      this.#adding.push({ entry, stored });
      this.#work();
    });
  }

  /** Takes an entry that was answered out of the store. */
  remove(entry: Entry): void {
    if (entry.key !== undefined) {
      this.#removing.push(entry.key);
      this.#work();
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
    while (this.#working !== undefined) {
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

  #adopted(frames: Stored[]): void {
    const unknown = frames.filter((frame) => !this.isKnown(frame.id));
    if (unknown.length > 0) {
      this.handler.adopt(unknown);
    }
  }

  #work(): void {
    if (this.#isOpen && this.#working === undefined) {
      this.#working = this.#transact()
        .catch((error: unknown) => this.#failed(error))
        .then(() => {
          this.#working = undefined;
          if (this.#adding.length > 0 || this.#removing.length > 0) {
            this.#work();
          }
        });
    }
  }

  async #transact(): Promise<void> {
    await undefined; // what the present turn submits goes together
    const [adding, removing] = [this.#adding, this.#removing];
    [this.#adding, this.#removing] = [[], []];
    try {
      if (adding.length > 0) {
        const keys = await this.#store?.add(adding.map(({ entry }) => entry));
        adding.forEach(({ entry }, i) => (entry.key = keys?.[i]));
      }
    } finally {
      adding.forEach(({ entry, stored }) => {
        entry.ready = true;
        stored();
      });
      this.handler.changed();
    }
    if (removing.length > 0) {
      await this.#store?.remove(removing);
    }
  }
}
