import type { Board, BoardEvents, Client, ClientEvents } from "../src/index.js";

/** Resolves at the first event for which wanted is true. */
export function event<K extends keyof BoardEvents>(
  board: Board, name: K, wanted: (value: BoardEvents[K]) => boolean = () => true,
): Promise<BoardEvents[K]> {
  return new Promise((resolve) => {
    const stop = board.on(name, (value) => {
      if (wanted(value)) {
        stop();
        resolve(value);
      }
    });
  });
}

/** Resolves when the client's state is wanted, at once where it is now. */
export function state(client: Client, wanted: (s: ClientEvents["state"]) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = client.on("state", check);
    check(client.state);
    function check(s: ClientEvents["state"]): void {
      if (wanted(s)) {
        queueMicrotask(() => stop());
        resolve();
      }
    }
  });
}

/** Collects the texts of the chat, in the order of the log. */
export function chat(board: Board): string[] {
  const texts: string[] = [];
  board.on("frame", (f) => void (f.payload.case === "chatMessage" && texts.push(f.payload.value.text)));
  return texts;
}

export const say = (text: string) => ({ case: "chatMessage", value: { text } }) as const;

export const numbers = (n: number) => Array.from({ length: n }, (_, i) => String(i + 1));
