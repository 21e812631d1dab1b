/** A time of the server's. */
export function dateOf({ seconds, nanos }: { seconds: bigint; nanos: number }): Date {
  return new Date(Number(seconds) * 1000 + nanos / 1e6);
}

const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["minute", 60], ["hour", 3600], ["day", 86_400], ["week", 604_800], ["month", 2_629_800], ["year", 31_557_600],
];

/** How long ago that was, in words. Clocks differ: what is to come is now. */
export function ago(then: Date, now = new Date()): string {
  const seconds = (now.getTime() - then.getTime()) / 1000;
  const [unit, length] = units.findLast(([, length]) => seconds >= length) ?? ["minute", Infinity];
  return length === Infinity ? "just now" : words.format(-Math.floor(seconds / length), unit);
}

/** The day, for a line between messages. */
export function dayOf(then: Date, now = new Date()): string {
  const midnight = (d: Date) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (days === 0 || days === 1) {
    return days === 0 ? "Today" : "Yesterday";
  }
  const year = then.getFullYear() === now.getFullYear() ? undefined : ("numeric" as const);
  return then.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric", ...(year && { year }) });
}

/** Hours and minutes, as the user's region writes them. */
export function clock(then: Date): string {
  return then.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}
