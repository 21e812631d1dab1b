const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A UUIDv7: ids that follow each other are near each other in the server's index. */
export function newID(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  new DataView(b.buffer).setUint32(0, Math.floor(now / 0x10000));
  new DataView(b.buffer).setUint16(4, now % 0x10000);
  b[6] = ((b[6] ?? 0) & 0x0f) | 0x70;
  b[8] = ((b[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(b, (n) => n.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The id in its canonical spelling, which is how the server spells it. It throws a TypeError where it is none. */
export function canonicalID(what: string, id: string): string {
  const lower = id.toLowerCase();
  if (!uuid.test(lower)) {
    throw new TypeError(`${what} ${JSON.stringify(id)} is not a UUID`);
  }
  return lower;
}
