import type { Savepoint } from "@collaboard/sdk";
import type { CSSProperties, KeyboardEvent, ReactElement } from "react";

import { BackIcon, LaterIcon } from "../ui/icons.js";
import { colorOf } from "../whiteboard/color.js";
import { counted, describe, type Group } from "./changes.js";
import type { HistoryView } from "./log.js";
import { shortOf } from "./words.js";

/** The moments of a board on a line. Arrow keys go from change to change, Page keys from group to group. */
export function TimeSlider({ view, groups, savepoints, person, onGo }: {
  view: HistoryView; groups: readonly Group[]; savepoints: readonly Savepoint[]; person: (id: string) => string; onGo: (seq: number) => void;
}): ReactElement {
  const { first, head, seq, moment, now, loading } = view;
  const at = groups.findLast((g) => g.first.seq <= seq);
  const change = moment?.seq === seq ? moment.change : undefined;
  const step = (by: -1 | 1) => onGo(nextChange(view, by));
  const key = (event: KeyboardEvent) => {
    const to = {
      ArrowLeft: () => nextChange(view, -1), ArrowDown: () => nextChange(view, -1),
      ArrowRight: () => nextChange(view, 1), ArrowUp: () => nextChange(view, 1),
      PageUp: () => groups.find((g) => g.last.seq > seq)?.last.seq ?? head,
      PageDown: () => groups.findLast((g) => g.last.seq < seq)?.last.seq ?? first,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      onGo(to());
    }
  };
  const who = change === undefined ? "" : person(change.from);
  const text = head === 0 ? "Nothing was changed yet"
    : change === undefined ? (loading ? "Loading…" : "Nothing was changed here")
    : `${who} · ${at === undefined ? "1 change" : counted(at.count, "change")} · ${shortOf(change.time)}`;
  const place = (n: number) => (head > first ? (n - first) / (head - first) : 1);
  return (
    <div className="time">
      <div className="time-line">
        <button type="button" className="icon-button small" aria-label="Earlier change" title="Earlier change" disabled={seq <= first} onClick={() => step(-1)}>
          <BackIcon />
        </button>
        <div className="time-track" style={{ "--at": place(seq) } as CSSProperties}>
          {savepoints.filter((s) => Number(s.seq) >= first && Number(s.seq) <= head).map((s) => (
            <span key={String(s.seq)} className={s.name === "" ? "time-mark" : "time-mark named"} style={{ "--at": place(Number(s.seq)) } as CSSProperties} />
          ))}
          <input
            type="range" min={first} max={Math.max(head, first)} step={1} value={seq} disabled={head <= first} autoFocus
            aria-label="Moment" aria-valuetext={now ? `Now. ${text}` : text} onKeyDown={key}
            onChange={(event) => onGo(Number(event.target.value))}
          />
        </div>
        <button type="button" className="icon-button small" aria-label="Later change" title="Later change" disabled={now} onClick={() => step(1)}>
          <LaterIcon />
        </button>
      </div>
      <div className="time-text">
        {change !== undefined && <span className="message-dot" style={{ "--color": colorOf(change.from) } as CSSProperties} />}
        <span className="time-who">{text}</span>
        {loading && <span className="spinner" />}
      </div>
      {change !== undefined && <div className="time-what">{describe({
        added: change.added, changed: change.changed.length, deleted: change.deleted.length, last: change,
      })}</div>}
    </div>
  );
}

/** The moment of the change before or after, as far as the log is known there. */
function nextChange({ runs, seq, moment }: HistoryView, by: -1 | 1): number {
  const from = moment?.seq === seq ? moment.change?.seq ?? seq : seq;
  const run = runs.find((changes) => changes.length > 0 && changes[0]!.seq <= seq && changes.at(-1)!.seq >= from);
  const next = by < 0 ? run?.findLast((c) => c.seq < from) : run?.find((c) => c.seq > seq);
  return next?.seq ?? seq + by;
}
