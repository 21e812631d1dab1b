import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, expect, test, vi } from "vitest";

import { Client, FrameSchema, Mode, newID, Status, type Board, type WebSocketLike } from "../src/index.js";
import { decodeFrame } from "../src/frames.js";
import { encodeMessages, FrameReader } from "../src/framing.js";
import { chat, event, say } from "./events.js";

type Init = MessageInitShape<typeof FrameSchema>;

const epoch = newID();
const boardId = newID();

let client: Client;

afterEach(async () => {
  vi.restoreAllMocks();
  Liar.buffered = 0;
  await client.close();
});

/** A server that says what a test makes it say: what a real one never would. */
class Liar implements WebSocketLike {
  static requests: (frame: Init & { id: string }, liar: Liar) => void;
  binaryType = "";
  static buffered = 0;
  onopen: WebSocketLike["onopen"] = null;
  onclose: WebSocketLike["onclose"] = null;
  onerror: WebSocketLike["onerror"] = null;
  onmessage: ((event: never) => void) | null = null;
  #first = true;

  get bufferedAmount(): number {
    return Liar.buffered;
  }

  constructor() {
    queueMicrotask(() => this.onopen?.({} as never));
  }

  send(data: Uint8Array): void {
    if (this.#first) {
      this.#first = false;
      const limits = { maxInFlightFrames: 256 };
      return this.say({ payload: { case: "sessionWelcome", value: { connectionId: newID(), limits } } });
    }
    for (const frame of new FrameReader().push(data.subarray(1))) {
      if (frame.kind === "message") {
        Liar.requests(decodeFrame(frame.bytes), this);
      }
    }
  }

  close(): void {}

  hangUp(): void {
    setTimeout(() => this.onclose?.({ code: 1006, reason: "" } as never)); // after what was said
  }

  say(frame: Init): void {
    const message = encodeMessages([[toBinary(FrameSchema, create(FrameSchema, { boardId, status: Status.EVENT, ...frame }))]]);
    queueMicrotask(() => this.onmessage?.({ data: message.slice(1).buffer } as never));
  }

  joined(parentId: string, mode: Mode, seq: bigint): void {
    if (mode === Mode.SNAPSHOT) {
      const value = { position: { epoch, seq }, last: true };
      this.say({ parentId, status: Status.ITEM, payload: { case: "boardSnapshot", value } });
    }
    this.say({ parentId, status: Status.DONE, payload: { case: "boardJoined", value: { position: { epoch, seq }, mode } } });
  }
}

function join(backoff = { shortest: 1, longest: 5 }): Board {
  client = new Client({ url: "http://liar", webSocket: Liar, storage: false, backoff });
  return client.join(boardId);
}

test.each([
  ["a gap", 12n], ["a step backwards", 10n],
])("%s is ignored, and the board joined anew from its position", async (kind, lie) => {
  const asked: bigint[] = [];
  Liar.requests = ({ id, payload }, liar) => {
    const position = payload?.case === "boardJoin" ? payload.value.position?.seq : undefined;
    asked.push(position ?? -1n);
    liar.joined(id, position === undefined ? Mode.SNAPSHOT : Mode.RESUMED, 10n);
    liar.say({ seq: position === undefined ? lie : 11n, payload: say("x") });
  };
  const board = join();
  expect((await event(board, "frame")).seq).toBe(11n);
  expect(asked).toEqual([-1n, 10n]);
  expect(board.status).toMatchObject({ live: true, desyncs: 1, lastDesync: { kind, have: { seq: 10 } } });
});

test("where the position is of no use the board is joined by a snapshot, and that is told", async () => {
  let joins = 0;
  Liar.requests = ({ id }, liar) => {
    joins++;
    liar.joined(id, joins === 2 ? Mode.RESUMED : Mode.SNAPSHOT, joins < 3 ? 10n : 20n);
    if (joins < 3) {
      liar.say({ seq: 15n, payload: say("x") });
    }
  };
  const board = join();
  expect(await event(board, "resync")).toMatchObject({ from: { seq: 10 }, to: { seq: 20 }, error: { kind: "a gap" } });
  expect(joins).toBe(3);
});

/** Answers joins with what is given, and frames with an ack. */
function acks(ack: { epoch: string; seq: bigint }, ...joins: [Mode, bigint][]): void {
  Liar.requests = ({ id, payload }, liar) => {
    if (payload?.case === "boardJoin") {
      liar.joined(id, ...joins.shift()!);
    } else if (payload?.case === "chatMessage") {
      const { epoch, seq } = ack;
      liar.say({ parentId: id, status: Status.DONE, seq, payload: { case: "ack", value: { epoch } } });
      setTimeout(() => liar.say({ seq: 11n, payload }), 5);
    }
  };
}

test("an ack that comes before its event waits for it", async () => {
  acks({ epoch, seq: 11n }, [Mode.SNAPSHOT, 10n]);
  const board = join();
  const seen = chat(board);
  await board.joined;
  await board.submit(say("x")).acked;
  expect(seen).toEqual(["x"]);
});

test("an ack from another incarnation of the log ends with a new join", async () => {
  const other = newID();
  acks({ epoch: other, seq: 5n }, [Mode.SNAPSHOT, 10n], [Mode.RESUMED, 10n]);
  const board = join();
  await board.joined;
  expect(await board.submit(say("x")).acked).toMatchObject({ epoch: other, seq: 5 });
  expect(board.status).toMatchObject({ live: true, lastDesync: { kind: "a foreign epoch" } });
});

test("what the network does not take is not sent", async () => {
  acks({ epoch, seq: 11n }, [Mode.SNAPSHOT, 10n]);
  const board = join();
  await board.joined;
  const requests: string[] = [];
  const answer = Liar.requests;
  Liar.requests = (frame, liar) => {
    requests.push(frame.payload?.case ?? "");
    answer(frame, liar);
  };
  Liar.buffered = 2 << 20;
  const pending = board.submit(say("x"));
  board.signal({ case: "cursorMove", value: { x: 1 } });
  board.signal({ case: "cursorMove", value: { x: 2 } });
  await new Promise((resolve) => setTimeout(resolve, 120)); // it is looked at twice meanwhile
  expect(requests).toEqual([]);
  Liar.buffered = 0;
  await pending.acked;
  expect(requests).toEqual(["cursorMove", "chatMessage"]); // the newest cursor alone
});

test("pauses grow while connections are only welcomed, and begin anew after one that has answered", async () => {
  vi.spyOn(Math, "random").mockReturnValue(1);
  const answers = 10; // which connection does
  const begun: number[] = [];
  const enough = new Promise<void>((resolve) => {
    Liar.requests = ({ id }, liar) => {
      begun.push(performance.now());
      if (begun.length === answers) {
        liar.joined(id, Mode.SNAPSHOT, 10n);
      }
      if (begun.length > answers) {
        resolve();
      }
      liar.hangUp();
    };
  });
  join({ shortest: 1, longest: 10_000 });
  await enough;
  const pause = (n: number) => begun[n]! - begun[n - 1]!;
  expect(pause(8)).toBeGreaterThanOrEqual(127);
  expect(pause(9)).toBeGreaterThanOrEqual(255);
  expect(pause(10)).toBeLessThan(255); // 1, where it would have been 512
});
