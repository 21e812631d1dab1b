import { create, toBinary } from "@bufbuild/protobuf";

import { Client, FrameSchema, newID, Status, type Board } from "@collaboard/sdk";
import { encodeMessages, encodeMetadata } from "../../sdk/src/framing.ts";

// Does what test/bench/browser asks for, with the SDK as an application uses it: what is not said here is by default.

/** As in test/bench/browser. Times are in milliseconds. */
interface Task {
  readonly measure: "pingpong" | "pipelined" | "receive";
  readonly url: string;
  readonly board: string;
  readonly warmUp: number;
  readonly duration: number;
  readonly payload: number; // bytes
  readonly window: number;
  readonly client: "sdk" | "sdk_in_memory" | "websocket";
}

/** Counts what happens in the measured period. */
class Counter {
  readonly #from: number;
  readonly #until: number;
  readonly #latencies: number[] = [];
  #count = 0;

  constructor(task: Task) {
    this.#from = performance.now() + task.warmUp;
    this.#until = this.#from + task.duration;
  }

  get over(): boolean {
    return performance.now() >= this.#until;
  }

  /** Counts one, with the time since it was begun. */
  add(begun?: number): void {
    const now = performance.now();
    if (now < this.#from || now >= this.#until) {
      return;
    }
    this.#count++;
    if (begun !== undefined) {
      this.#latencies.push(now - begun);
    }
  }

  result() {
    const sorted = this.#latencies.sort((a, b) => a - b);
    return {
      p50_ms: sorted[Math.floor(sorted.length / 2)], p99_ms: sorted[Math.floor(sorted.length * 0.99)],
      per_second: this.#count / (this.#until - this.#from) * 1000,
    };
  }
}

async function run(task: Task) {
  if (task.client === "websocket") {
    return bare(task);
  }
  const stored = task.client === "sdk";
  const client = new Client({ url: task.url, userId: `sdk-${newID()}`, ...(!stored && { storage: false }) });
  try {
    const board = client.join(task.board);
    await board.joined;
    const counter = new Counter(task);
    switch (task.measure) {
      case "pingpong":
        await write(board, task, counter);
        break;
      case "pipelined":
        // Twice the window: there is always one more to send.
        await Promise.all(Array.from({ length: 2 * task.window }, () => write(board, task, counter)));
        break;
      case "receive":
        await receive(board, counter);
        break;
    }
    if (stored && !client.state.kept) {
      throw new Error("frames were not stored");
    }
    return counter.result();
  } finally {
    await client.close();
  }
}

/** Submits one frame after the other, each when the one before is acked. */
async function write(board: Board, task: Task, counter: Counter): Promise<void> {
  const data = new Uint8Array(task.payload);
  while (!counter.over) {
    const begun = performance.now();
    await board.submit({ case: "custom", value: { type: "bench", data } }).acked;
    counter.add(begun);
  }
}

function receive(board: Board, counter: Counter): Promise<void> {
  return new Promise((resolve, reject) => {
    board.on("end", reject);
    board.on("frame", () => {
      counter.add();
      if (counter.over) {
        resolve();
      }
    });
  });
}

/**
 * Ping-pong with nothing but the browser's WebSocket: frames are made beforehand but for their ids, and an answer is what
 * comes, whatever it is. No client in a browser can be faster.
 */
async function bare(task: Task) {
  const frame = encodeMessages([[toBinary(FrameSchema, create(FrameSchema, {
    id: newID(), boardId: task.board, status: Status.REQUEST,
    payload: { case: "custom", value: { type: "bench", data: new Uint8Array(task.payload) } },
  }))]]);
  const id = 1 + 5 + 2; // behind the prefix, and the field's tag and length
  const socket = new WebSocket(`${task.url.replace("http", "ws")}/collaboard.v1.CollaborationService/Collaborate`, ["grpc-websockets"]);
  socket.binaryType = "arraybuffer";
  const answer = () => new Promise((resolve, reject) => {
    socket.onmessage = resolve;
    socket.onclose = reject;
  });
  await new Promise((resolve) => (socket.onopen = resolve));
  socket.send(encodeMetadata(new Map([["content-type", "application/grpc-web+proto"], ["x-grpc-web", "1"], ["user-id", "bench"]])));
  await answer(); // headers
  await answer(); // welcome
  const counter = new Counter(task);
  for (let n = 0; !counter.over; n++) {
    frame.set(new TextEncoder().encode(n.toString(16).padStart(8, "0")), id);
    const begun = performance.now();
    const answered = answer();
    socket.send(frame);
    await answered;
    counter.add(begun);
  }
  socket.close();
  return counter.result();
}

async function post(path: string, body?: unknown): Promise<Response> {
  return fetch(path, { method: "POST", body: body === undefined ? null : JSON.stringify(body) });
}

for (;;) {
  const task = await (await post("/task")).json() as Task;
  await post("/result", await run(task).catch((error: unknown) => ({ error: String(error) })));
}
