import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import { FrameSchema, Status, type Ack, type Frame } from "./gen/collaboard/v1/frame_pb.js";
import { decodeText } from "./text.js";

// protobuf-es reads by reflection, which was a fifth of a page's work where many frames are in flight. What is in every
// frame of a server is read by hand here, and so are acks. What else a frame says is left to protobuf-es.

const payloads = new Map(FrameSchema.fields.flatMap((field) => (
  field.oneof !== undefined && field.fieldKind === "message" ? [[lengthTag(field.number), field] as const] : []
)));

/** What precedes a field that has its length before it. */
export function lengthTag(number: number): number {
  return (number << 3) | 2;
}

/** The frame that bytes say; undefined where not all of it is as our server writes it, as where it is newer than this. */
export function decodeUsual(bytes: Uint8Array): Frame | undefined {
  try {
    return readFrame(new Reader(bytes));
  } catch {
    return undefined;
  }
}

function readFrame(reader: Reader): Frame {
  const frame: Frame = {
    $typeName: "collaboard.v1.Frame", id: "", parentId: "", boardId: "", seq: 0n, from: "", status: Status.UNSPECIFIED,
    afterId: "", connectionId: "", payload: { case: undefined }, chain: new Uint8Array(),
  };
  while (reader.more) {
    const tag = reader.varint();
    switch (tag) {
      case 1 << 3 | 2:
        frame.id = reader.text();
        break;
      case 2 << 3 | 2:
        frame.parentId = reader.text();
        break;
      case 3 << 3 | 2:
        frame.boardId = reader.text();
        break;
      case 4 << 3:
        frame.seq = BigInt(reader.varint());
        break;
      case 5 << 3 | 2:
        unless(frame.time !== undefined);
        frame.time = readTime(new Reader(reader.field()));
        break;
      case 6 << 3 | 2:
        frame.from = reader.text();
        break;
      case 7 << 3:
        frame.status = reader.varint(0x7f);
        break;
      case 8 << 3 | 2:
        frame.afterId = reader.text();
        break;
      case 9 << 3 | 2:
        frame.connectionId = reader.text();
        break;
      case 100 << 3 | 2:
        frame.chain = reader.field();
        break;
      default:
        unless(frame.payload.case !== undefined);
        frame.payload = readPayload(tag, reader.field());
    }
  }
  return frame;
}

function readPayload(tag: number, bytes: Uint8Array): Frame["payload"] {
  const field = payloads.get(tag);
  if (field === undefined) {
    throw unusual;
  }
  if (field.localName === "ack") {
    return { case: "ack", value: readAck(new Reader(bytes)) };
  }
  return { case: field.localName, value: fromBinary(field.message, bytes) } as Frame["payload"];
}

function readAck(reader: Reader): Ack {
  const ack: Ack = { $typeName: "collaboard.v1.Ack", epoch: "", duplicate: false };
  while (reader.more) {
    switch (reader.varint()) {
      case 1 << 3 | 2:
        ack.epoch = reader.text();
        break;
      case 2 << 3:
        ack.duplicate = reader.varint(1) === 1;
        break;
      default:
        throw unusual;
    }
  }
  return ack;
}

function readTime(reader: Reader): Timestamp {
  const time: Timestamp = { $typeName: "google.protobuf.Timestamp", seconds: 0n, nanos: 0 };
  while (reader.more) {
    switch (reader.varint()) {
      case 1 << 3:
        time.seconds = BigInt(reader.varint());
        break;
      case 2 << 3:
        time.nanos = reader.varint(999_999_999);
        break;
      default:
        throw unusual;
    }
  }
  return time;
}

const unusual = new Error("not as a server writes it");

function unless(wrong: boolean): void {
  if (wrong) {
    throw unusual;
  }
}

class Reader {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  get more(): boolean {
    return this.#at < this.bytes.length;
  }

  /** A whole number from 0 to most. */
  varint(most = 2 ** 48): number {
    let n = 0;
    for (let scale = 1; scale <= most; scale *= 0x80) {
      const byte = this.bytes[this.#at++] ?? 0xff;
      n += (byte & 0x7f) * scale;
      if (byte <= 0x7f && n <= most) {
        return n;
      }
    }
    throw unusual;
  }

  /** What has its length before it: a view of the bytes. */
  field(): Uint8Array {
    const length = this.varint();
    const from = this.#at;
    this.#at += length;
    unless(this.#at > this.bytes.length);
    return this.bytes.subarray(from, this.#at);
  }

  text(): string {
    return decodeText(this.field(), true);
  }
}
