import type { Board } from "@collaboard/sdk";
import { useEffect, useMemo, useRef, useState } from "react";

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

/** Returns what to call at each key: it says, now and then, that the user types. */
export function useTypingSignal(board: Board): () => void {
  const last = useRef(-Infinity);
  return useMemo(() => () => {
    if (performance.now() - last.current > repeat) {
      last.current = performance.now();
      board.signal({ case: "typing", value: {} });
    }
  }, [board]);
}
