const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const hex = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));
const random = new Uint8Array(64 * 16); // for many ids: to ask the platform is most of the work
let used = random.length;

/** A UUIDv7: ids that follow each other are near each other in the server's index. */
export function newID(): string {
  if (used === random.length) {
    crypto.getRandomValues(random);
    used = 0;
  }
  const b = random.subarray(used, (used += 16));
  const now = Date.now();
  const view = new DataView(b.buffer, b.byteOffset);
  view.setUint32(0, Math.floor(now / 0x10000));
  view.setUint16(4, now % 0x10000);
  b[6] = ((b[6] ?? 0) & 0x0f) | 0x70;
  b[8] = ((b[8] ?? 0) & 0x3f) | 0x80;
  let id = "";
  for (let i = 0; i < 16; i++) {
    id += i === 4 || i === 6 || i === 8 || i === 10 ? `-${hex[b[i]!]}` : hex[b[i]!];
  }
  return id;
}

/** The id in its canonical spelling, which is how the server spells it. It throws a TypeError where it is none. */
export function canonicalID(what: string, id: string): string {
  const lower = id.toLowerCase();
  if (!uuid.test(lower)) {
    throw new TypeError(`${what} ${JSON.stringify(id)} is not a UUID`);
  }
  return lower;
}
