import { decodeFrame } from "../src/frames.js";

async function open(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  const opening = factory.open(name);
  await new Promise((resolve) => (opening.onsuccess = resolve));
  return opening.result;
}

/** The ids of the frames that a database has, in their order. */
export async function storedFrames(factory: IDBFactory, name: string): Promise<string[]> {
  const db = await open(factory, name);
  const rows = db.transaction("frames").objectStore("frames").getAll();
  await new Promise((resolve) => (rows.onsuccess = resolve));
  db.close();
  return rows.result.flatMap((row: { frames: Uint8Array[] }) => row.frames.map((body) => decodeFrame(body).id));
}

/** Keeps a database busy, so that what is asked of it waits, until the function that it returns is called. */
export async function occupy(factory: IDBFactory, name: string): Promise<() => void> {
  const db = await open(factory, name);
  const rows = db.transaction("frames", "readwrite").objectStore("frames");
  let busy = true;
  const goOn = () => void (busy ? (rows.count().onsuccess = goOn) : db.close());
  await new Promise<void>((begun) => (rows.count().onsuccess = () => {
    goOn();
    begun();
  }));
  return () => (busy = false);
}
