import { configureTextEncoding, getTextEncoding } from "@bufbuild/protobuf/wire";

// The platform's encoder and decoder are made for long texts: to call one takes a page three to six times as long as to
// make the text of an id here. Most texts of frames are ids, and short names. The others are the platform's.

const short = 64;
const platform = getTextEncoding();

/** The bytes of a text in UTF-8. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  if (text.length > short) {
    return platform.encodeUtf8(text);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) {
      return platform.encodeUtf8(text);
    }
    bytes[i] = code;
  }
  return bytes;
}

/** The text that bytes of UTF-8 say. Where strict is not set what is wrong becomes U+FFFD; else it throws a TypeError. */
export function decodeText(bytes: Uint8Array, strict?: boolean): string {
  if (bytes.length > short) {
    return platform.decodeUtf8(bytes, strict);
  }
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! > 0x7f) {
      return platform.decodeUtf8(bytes, strict);
    }
  }
  return String.fromCharCode.apply(null, bytes as unknown as number[]); // a text of pieces is slow to look up
}

configureTextEncoding({ ...platform, encodeUtf8: encodeText, decodeUtf8: decodeText });
