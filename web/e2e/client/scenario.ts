import { BoardService, newID, Status, type Frame } from "@collaboard/sdk";
import type { Call, Driver, End, Target } from "./driver.ts";

/** A call of Collaborate that keeps what came. */
class Session {
  readonly frames: Frame[] = [];
  readonly ended: Promise<End>;
  readonly #call: Call;
  #looking: { wanted: (frame: Frame) => boolean; found: (frame: Frame) => void }[] = [];

  constructor(driver: Driver, to: Target) {
    let end!: (end: End) => void;
    this.ended = new Promise((resolve) => (end = resolve));
    this.#call = driver.collaborate(to, {
      message: (frame) => {
        this.frames.push(frame);
        this.#looking = this.#looking.filter(({ wanted, found }) => !wanted(frame) || found(frame));
      },
      end,
    });
  }

  /** Resolves with the first frame that came, or comes, for which wanted is true. */
  frame(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const frame = this.frames.find(wanted);
    return frame !== undefined ? Promise.resolve(frame)
      : new Promise((found) => this.#looking.push({ wanted, found }));
  }

  get welcomed(): Promise<Frame> {
    return this.frame((f) => f.payload.case === "sessionWelcome");
  }

  request(boardId: string, payload: NonNullable<Parameters<Call["send"]>[0]["payload"]>): string {
    const id = newID();
    this.#call.send({ id, boardId, status: Status.REQUEST, payload });
    return id;
  }

  async join(board: string): Promise<void> {
    const id = this.request(board, { case: "boardJoin", value: {} });
    await this.frame((f) => f.parentId === id && f.status === Status.DONE);
  }

  halfClose(): void {
    this.#call.halfClose();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

async function newBoard(driver: Driver, to: Target): Promise<string> {
  const [board] = await driver.call(to, BoardService.method.createBoard, { name: "A board" });
  return board!.id;
}

/** Sends as many messages at once, half-closes, and tells what came and what is in the log. */
export async function upload(driver: Driver, to: Target, count: number) {
  const board = await newBoard(driver, to);
  const session = new Session(driver, to);
  await session.join(board);
  const ids = Array.from({ length: count }, (_, i) =>
    session.request(board, { case: "chatMessage", value: { text: String(i + 1) } }));
  session.halfClose();
  const end = await session.ended;
  const log = await driver.call(to, BoardService.method.readLog, { boardId: board });
  return {
    end,
    log: log.map(text),
    // As they came: the text of an event, or the number of the message that is acked.
    came: session.frames.flatMap((f) =>
      f.seq === 0n ? [] : [f.status === Status.EVENT ? { event: text(f) } : { ack: String(ids.indexOf(f.parentId) + 1) }]),
    seqs: session.frames.filter((f) => f.status === Status.EVENT && f.seq > 0n).map((f) => Number(f.seq)),
    from: log[0]?.from,
  };
}

/** Two are on a board and one cancels. Tells who the other saw leave. */
export async function cancel(driver: Driver, to: Target) {
  const board = await newBoard(driver, to);
  const [stays, goes] = [new Session(driver, to), new Session(driver, to)];
  await stays.join(board);
  await goes.join(board);
  const welcome = (await goes.welcomed).payload;
  goes.cancel();
  const left = (await stays.frame((f) => f.payload.case === "memberLeft")).payload;
  stays.cancel();
  return {
    gone: welcome.case === "sessionWelcome" ? welcome.value.connectionId : undefined,
    left: left.case === "memberLeft" ? left.value.member?.connectionId : undefined,
  };
}

/** Is on a board until the server ends the call, and tells how. joined is called when it is there. */
export async function stay(driver: Driver, to: Target, joined: () => void): Promise<End> {
  const session = new Session(driver, to);
  await session.join(await newBoard(driver, to));
  joined();
  return session.ended;
}

/** How a call of Collaborate ends that the server refuses. */
export function refused(driver: Driver, to: Target): Promise<End> {
  return new Session(driver, to).ended;
}

/** How calls end that name a board that is not there. */
export async function missing(driver: Driver, to: Target): Promise<{ unary: End; streaming: End }> {
  const end = (call: Promise<unknown>) => call.then(() => ({ code: 0, message: "" }), (end: End) => end);
  const boardId = newID();
  return {
    unary: await end(driver.call(to, BoardService.method.getBoard, { boardId })),
    streaming: await end(driver.call(to, BoardService.method.readLog, { boardId })),
  };
}

function text(frame: Frame): string {
  return frame.payload.case === "chatMessage" ? frame.payload.value.text : `${frame.payload.case}`;
}
