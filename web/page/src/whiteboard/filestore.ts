import type { BinaryFileData } from "@excalidraw/excalidraw/types";

const name = "collaboard-files";
const table = "files";
const maxAge = 30 * 24 * 3600 * 1000; // of what no element names: another tab may be about to

interface Stored {
  readonly board: string;
  readonly id: string;
  readonly file: BinaryFileData;
  readonly since: number;
}

/** Files of a board that are not on the server yet, kept in IndexedDB. */
export class FileStore {
  readonly #db: Promise<IDBDatabase>;

  constructor(readonly board: string, indexedDB: IDBFactory = globalThis.indexedDB) {
    this.#db = new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: ["board", "id"] });
      request.onsuccess = () => {
        request.result.onversionchange = () => request.result.close(); // or it could not be deleted, or opened by a newer page
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
    });
    this.#db.catch(() => {}); // whoever uses it hears of it
  }

  async all(): Promise<BinaryFileData[]> {
    return (await this.#stored()).map(({ file }) => file);
  }

  /** Removes what is old, and is not named by the board. */
  async clean(named: ReadonlySet<string>): Promise<void> {
    const old = (await this.#stored()).filter(({ id, since }) => since < Date.now() - maxAge && !named.has(id));
    await Promise.all(old.map(({ id }) => this.remove(id)));
  }

  async put(file: BinaryFileData): Promise<void> {
    await this.#do("readwrite", (files) =>
      files.put({ board: this.board, id: file.id, file, since: Date.now() } satisfies Stored));
  }

  async remove(id: string): Promise<void> {
    await this.#do("readwrite", (files) => files.delete([this.board, id]));
  }

  #stored(): Promise<Stored[]> {
    const range = IDBKeyRange.bound([this.board], [this.board, []]); // arrays sort after strings
    return this.#do("readonly", (files) => files.getAll(range));
  }

  async close(): Promise<void> {
    (await this.#db).close();
  }

  async #do<T>(mode: IDBTransactionMode, use: (files: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const db = await this.#db;
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(table, mode);
      const request = use(transaction.objectStore(table));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }
}
