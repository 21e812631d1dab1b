import type { Savepoint } from "@collaboard/sdk";
import { Fragment, memo, useEffect, useMemo, useRef, useState, type CSSProperties, type ReactElement } from "react";

import { clock, dateOf, dayOf } from "../time.js";
import { EditField, useEditing } from "../ui/editable.js";
import { FlagIcon, PencilIcon, TrashIcon } from "../ui/icons.js";
import { colorOf } from "../whiteboard/color.js";
import { counted, describe, type Group } from "./changes.js";
import type { HistoryView } from "./log.js";

const page = 60; // rows that are added at a time

interface ListProps {
  view: HistoryView;
  groups: readonly Group[]; // oldest first
  savepoints: readonly Savepoint[]; // newest first
  person: (id: string) => string;
  canWrite: boolean;
  onGo: (seq: number) => void;
  onOlder: () => void;
  onName: (seq: bigint, name: string) => void;
  onDelete: (seq: bigint, name: string) => void;
}

type Row = { readonly seq: number; readonly time: Date } & ({ readonly group: Group } | { readonly savepoint: Savepoint });

/** Who changed what, newest first, with the savepoints where they are. */
export function ChangeList({ view, groups, savepoints, person, canWrite, onGo, onOlder, onName, onDelete }: ListProps): ReactElement {
  const [shown, setShown] = useState(page);
  const end = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => rowsOf(groups, savepoints, view.more), [groups, savepoints, view.more]);
  const more = shown < rows.length || view.more;
  const loadMore = useRef(() => {});
  loadMore.current = () => (shown < rows.length ? setShown(shown + page) : onOlder());
  useEffect(() => { // again whenever more is there: its end may be in view still
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting === true && loadMore.current(), { rootMargin: "200px" });
    observer.observe(end.current!);
    return () => observer.disconnect();
  }, [rows.length, shown, more]);

  let day = "";
  return (
    <div className="history-list" role="group" aria-label="Changes">
      {rows.slice(0, shown).map((row) => {
        const newDay = dayOf(row.time);
        const separator = newDay !== day && <div className="chat-day" role="separator">{newDay}</div>;
        day = newDay;
        return (
          <Fragment key={"group" in row ? `g${row.group.first.seq}` : `s${row.seq}`}>
            {separator}
            {"group" in row
              ? <GroupRow group={row.group} name={person(row.group.from)} current={row.group.first.seq <= view.seq && view.seq <= row.group.last.seq} onGo={onGo} />
              : <SavepointRow savepoint={row.savepoint} person={person} current={row.seq === view.seq} canWrite={canWrite} onGo={onGo} onName={onName} onDelete={onDelete} />}
          </Fragment>
        );
      })}
      {rows.length === 0 && !view.more && <div className="chat-empty">Nothing was changed on this board yet.</div>}
      {more && view.error === undefined && <div className="chat-note"><span className="spinner" /> Loading…</div>}
      {!more && rows.length > 0 && <div className="chat-note">{view.first > 1 ? "Older history is not kept." : "The history begins here."}</div>}
      <div ref={end} />
    </div>
  );
}

/** Newest first. A savepoint comes before the group that it ends. */
function rowsOf(groups: readonly Group[], savepoints: readonly Savepoint[], more: boolean): Row[] {
  const from = more ? groups[0]?.first.seq ?? Infinity : 0; // older ones come with their groups
  const rows: Row[] = groups.map((group) => ({ seq: group.last.seq, time: group.last.time, group }));
  for (const savepoint of savepoints) {
    if (Number(savepoint.seq) >= from) {
      rows.push({ seq: Number(savepoint.seq), time: savepoint.time === undefined ? new Date(0) : dateOf(savepoint.time), savepoint });
    }
  }
  return rows.sort((a, b) => b.seq - a.seq || Number("group" in a) - Number("group" in b));
}

const GroupRow = memo(function GroupRow({ group, name, current, onGo }: {
  group: Group; name: string; current: boolean; onGo: (seq: number) => void;
}): ReactElement {
  return (
    <button type="button" className="change" aria-current={current ? "true" : undefined} onClick={() => onGo(group.last.seq)}>
      <span className="message-dot" style={{ "--color": colorOf(group.from) } as CSSProperties} />
      <span className="change-name">{name}</span>
      <span className="change-count">{counted(group.count, "change")}</span>
      <time dateTime={group.last.time.toISOString()} title={group.last.time.toLocaleString()}>{clock(group.last.time)}</time>
      <span className="change-what">{describe(group)}</span>
    </button>
  );
}, (a, b) => a.name === b.name && a.current === b.current && a.group.last.seq === b.group.last.seq && a.group.count === b.group.count);

function SavepointRow({ savepoint, person, current, canWrite, onGo, onName, onDelete }: {
  savepoint: Savepoint; current: boolean;
} & Pick<ListProps, "person" | "canWrite" | "onGo" | "onName" | "onDelete">): ReactElement {
  const { seq, name, createdBy, time } = savepoint;
  const editing = useEditing(undefined);
  const label = name === "" ? "Before a pause" : name;
  return (
    <div className={name === "" ? "savepoint" : "savepoint named"}>
      <FlagIcon />
      {editing.field !== undefined
        ? <EditField label="Name of the savepoint" value={name} editing={editing} onChange={(to) => onName(seq, to)} onCancel={() => {}} />
        : (
          <button ref={editing.shown} type="button" className="savepoint-name" aria-current={current ? "true" : undefined} onClick={() => onGo(Number(seq))}>
            <span>{label}</span>
            <small>{name !== "" && `${person(createdBy)} · `}{time && clock(dateOf(time))}</small>
          </button>
        )}
      {canWrite && editing.field === undefined && (
        <>
          <button type="button" className="icon-button small" aria-label={`Rename ${label}`} title="Rename" onClick={editing.begin}><PencilIcon /></button>
          <button type="button" className="icon-button small" aria-label={`Delete ${label}`} title="Delete" onClick={() => onDelete(seq, name)}><TrashIcon /></button>
        </>
      )}
    </div>
  );
}
