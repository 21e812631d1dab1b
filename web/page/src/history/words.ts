import { clock, dayOf } from "../time.js";

/** A moment in the middle of a sentence: "at 14:05", "yesterday at 14:05", "on Monday, May 4, at 14:05". */
export function whenOf(time: Date, now = new Date()): string {
  const day = dayOf(time, now);
  const at = `at ${clock(time)}`;
  return day === "Today" ? at : day === "Yesterday" ? `yesterday ${at}` : `on ${day}, ${at}`;
}

/** A moment by itself: "14:05", "Yesterday, 14:05", "May 4, 14:05". */
export function shortOf(time: Date, now = new Date()): string {
  const day = dayOf(time, now);
  if (day === "Today") {
    return clock(time);
  }
  const year = time.getFullYear() === now.getFullYear() ? undefined : ("numeric" as const);
  const date = day === "Yesterday" ? day : time.toLocaleDateString("en", { month: "short", day: "numeric", ...(year && { year }) });
  return `${date}, ${clock(time)}`;
}
