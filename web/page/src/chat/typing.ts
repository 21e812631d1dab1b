import type { Board } from "@collaboard/sdk";
import { useEffect, useMemo, useState } from "react";

const lasts = 5_000; // ms, of a signal
const repeat = 3_000; // ms between two signals of who goes on typing

/** Who types now, by connection id. */
export function useTyping(board: Board): readonly string[] {
  const [typing, setTyping] = useState<readonly string[]>([]);
  useEffect(() => {
    const timers = new Map<string, ReturnType<typeof setTimeout>>();
    const stop = (id: string) => {
      clearTimeout(timers.get(id));
      if (timers.delete(id)) {
        setTyping([...timers.keys()]);
      }
    };
    const off = [
      board.on("signal", (frame) => {
        if (frame.payload.case === "typing") {
          clearTimeout(timers.get(frame.connectionId));
          timers.set(frame.connectionId, setTimeout(() => stop(frame.connectionId), lasts));
          setTyping([...timers.keys()]);
        }
      }),
      board.on("frame", (frame) => {
        if (frame.payload.case === "chatMessage") { // it does not say from which of the user's connections
          board.members.filter((m) => m.userId === frame.from).forEach((m) => stop(m.connectionId));
        }
      }),
      board.on("members", (members) => {
        [...timers.keys()].filter((id) => !members.some((m) => m.connectionId === id)).forEach(stop);
      }),
    ];
    return () => {
      off.forEach((end) => end());
      timers.forEach((timer) => clearTimeout(timer));
    };
  }, [board]);
  return typing;
}

export interface TypingSignal {
  /** To be called at each key: now and then it says that the user types. */
  typed(): void;
  /** A message was sent, which ends it for those who see it. */
  sent(): void;
}

export function useTypingSignal(board: Board): TypingSignal {
  return useMemo(() => {
    let last = -Infinity;
    return {
      typed: () => {
        if (performance.now() - last > repeat) {
          last = performance.now();
          board.signal({ case: "typing", value: {} });
        }
      },
      sent: () => void (last = -Infinity),
    };
  }, [board]);
}
