/** Pictures of boards, in this browser: one of each board, as of a seq of its log. A browser that refuses has none. */
export interface Kept {
  readonly seq: number;
  readonly svg: string;
}

const maxLength = 512 << 10; // of one; larger ones are made anew each time
const most = 500; // boards

let opening: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("collaboard-thumbnails", 2);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion > 0) {
        request.result.deleteObjectStore("thumbnails"); // those without images
      }
      request.result.createObjectStore("thumbnails");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
  try {
    const store = (await open()).transaction("thumbnails", mode).objectStore("thumbnails");
    const request = work(store);
    return await new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}

export function readThumbnail(board: string): Promise<Kept | undefined> {
  return run<Kept | undefined>("readonly", (store) => store.get(board));
}

export async function writeThumbnail(board: string, kept: Kept): Promise<void> {
  if (kept.svg.length > maxLength) {
    return;
  }
  if (((await run("readonly", (store) => store.count())) ?? 0) >= most) {
    await run("readwrite", (store) => store.clear());
  }
  await run("readwrite", (store) => store.put(kept, board));
}
