import type { ReactElement } from "react";

import { dateOf } from "../time.js";
import { CloseIcon } from "../ui/icons.js";
import { wordOf } from "./changes.js";
import type { HistoryView } from "./log.js";
import { whenOf } from "./words.js";

/** Who made the selected object, and who changed it last, as of the moment. */
export function ObjectFacts({ view, object: id, person, canRestore, onRestore, onClose }: {
  view: HistoryView; object: string | undefined; person: (id: string) => string; canRestore: boolean;
  onRestore: (object: string) => void; onClose: () => void;
}): ReactElement {
  const object = id === undefined ? undefined : view.moment?.replica.object(id);
  if (id === undefined) {
    return <div className="history-object hint">Click an object to see who made it and who changed it last.</div>;
  }
  const word = object === undefined ? "Object" : wordOf(object.kind);
  const title = word.charAt(0).toUpperCase() + word.slice(1);
  return (
    <section className="history-object" aria-label="Selected object">
      <div className="history-object-head">
        <h3>{title}</h3>
        <button type="button" className="icon-button small" aria-label="Select nothing" title="Select nothing" onClick={onClose}><CloseIcon /></button>
      </div>
      {object === undefined
        ? <p>It was not on the board yet.</p>
        : (
          <dl>
            <dt>Made by</dt>
            <dd>{person(object.createdBy)}{object.createdAt && <time>{whenOf(dateOf(object.createdAt))}</time>}</dd>
            <dt>{object.deleted ? "Deleted by" : "Last changed by"}</dt>
            <dd>{person(object.updatedBy)}{object.updatedAt && <time>{whenOf(dateOf(object.updatedAt))}</time>}</dd>
          </dl>
        )}
      {object !== undefined && !object.deleted && (
        <button type="button" className="button small" disabled={!canRestore} onClick={() => onRestore(id)}>
          Bring it back to how it was here
        </button>
      )}
    </section>
  );
}
