/**
 * The ids of objects are UUIDs by protocol, those of Excalidraw's elements are what it likes (nanoids, mostly). The id of
 * an element is kept among its object's props, and the object's id follows from it: the name-based UUID (version 5, RFC
 * 9562) of the element's id in a namespace of ours. So the same drawing has the same objects wherever it is opened, and
 * any program can find the object of an element. An element's id that is a UUID already is its object's id.
 */
const namespace = "5b0cf2a6-1d0f-4b64-9d7a-6f1c6c3a8f21";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const known = new Map<string, string>();
const maxKnown = 20_000;

/** The id of the object of an element, or of a group of elements. */
export function objectID(elementID: string): string {
  if (uuid.test(elementID)) {
    return elementID;
  }
  let id = known.get(elementID);
  if (id === undefined) {
    if (known.size >= maxKnown) {
      known.clear();
    }
    known.set(elementID, (id = uuid5(elementID)));
  }
  return id;
}

function uuid5(name: string): string {
  const text = new TextEncoder().encode(name);
  const bytes = new Uint8Array(16 + text.length);
  namespace.replaceAll("-", "").match(/../g)!.forEach((hex, i) => (bytes[i] = parseInt(hex, 16)));
  bytes.set(text, 16);
  const hash = sha1(bytes).subarray(0, 16);
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** FIPS 180-4. The browser's own is asynchronous, and missing on pages that came over plain HTTP. */
function sha1(message: Uint8Array): Uint8Array {
  const padded = new DataView(new ArrayBuffer(((message.length + 8) >> 6) * 64 + 64));
  message.forEach((b, i) => padded.setUint8(i, b));
  padded.setUint8(message.length, 0x80);
  padded.setUint32(padded.byteLength - 4, message.length * 8);
  const h = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const w = new Int32Array(80);
  for (let at = 0; at < padded.byteLength; at += 64) {
    for (let i = 0; i < 80; i++) {
      w[i] = i < 16 ? padded.getInt32(at + 4 * i) : rotate(w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!, 1);
    }
    let [a, b, c, d, e] = h as [number, number, number, number, number];
    for (let i = 0; i < 80; i++) {
      const [f, k] =
        i < 20 ? [(b & c) | (~b & d), 0x5a827999]
        : i < 40 ? [b ^ c ^ d, 0x6ed9eba1]
        : i < 60 ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdc]
        : [b ^ c ^ d, 0xca62c1d6];
      [a, b, c, d, e] = [(rotate(a, 5) + f + e + k + w[i]!) | 0, a, rotate(b, 30), c, d];
    }
    [a, b, c, d, e].forEach((v, i) => (h[i] = (h[i]! + v) | 0));
  }
  const out = new DataView(new ArrayBuffer(20));
  h.forEach((v, i) => out.setInt32(4 * i, v));
  return new Uint8Array(out.buffer);
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
