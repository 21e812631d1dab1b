import { BoardService, newID, type Client, type Member } from "@collaboard/sdk";
import { useMemo, useState, type ReactElement } from "react";

import { explain } from "../errors.js";
import { nameOf } from "../names.js";
import { boardPath, navigate } from "../route.js";
import { limitCharacters, maxBoardName, oneLine } from "../ui/characters.js";
import { Dialog } from "../ui/dialog.js";
import { CloseIcon } from "../ui/icons.js";
import { useToast } from "../ui/toasts.js";
import type { User } from "../user.js";
import { groupsOf } from "./changes.js";
import { ChangeList } from "./list.js";
import { ObjectFacts } from "./object.js";
import { bringBack, bringObjectBack } from "./restore.js";
import { useSavepoints } from "./savepoints.js";
import { TimeSlider } from "./slider.js";
import type { History } from "./use-history.js";
import { whenOf } from "./words.js";

interface PanelProps {
  client: Client;
  boardId: string;
  boardName: string;
  user: User;
  members: readonly Member[];
  history: History;
  canWrite: boolean;
  onClose: () => void;
}

/** A board's past: any moment of it, who changed what, and how to get it back. */
export function HistoryPanel({ client, boardId, boardName, user, members, history, canWrite, onClose }: PanelProps): ReactElement {
  const { log, view, past } = history;
  const toast = useToast();
  const [asking, setAsking] = useState<"restore" | "copy" | "savepoint">();
  const [busy, setBusy] = useState(false);
  const savepoints = useSavepoints(client, boardId);
  const breaks = useMemo(() => new Set(savepoints.list.map(({ seq }) => Number(seq))), [savepoints.list]);
  const [groups, newest] = useMemo(() => {
    const runs = view.runs.map((run) => groupsOf(run, breaks));
    return [runs.flat(), runs.at(-1) ?? []];
  }, [view.runs, breaks]);
  const names = useMemo(() => new Map(members.map((m) => [m.userId, m.displayName])), [members]);
  const person = (id: string) => (id === user.id ? user.name : names.get(id) ?? nameOf(id)) ?? "Somebody";
  const time = view.moment?.change?.time;
  const when = view.now || time === undefined ? "now" : whenOf(time);

  /** Tells what became of something, and offers to try it again. */
  const attempt = async (failed: string, run: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await run();
    } catch (failure) {
      const again = { label: "Try again", run: () => void attempt(failed, run) };
      toast({ kind: "error", text: `${failed} ${explain(failure)}`, action: again });
    } finally {
      setBusy(false);
    }
  };
  const restore = (seq: number, done: string, undo?: string) => {
    const frameId = newID(); // of all tries
    void attempt("The board was not brought back.", async () => {
      const before = await bringBack(client, boardId, seq, frameId);
      log.go(Infinity);
      if (before === undefined) {
        toast({ text: "The board is like that already." });
      } else {
        toast({ text: done, ...(undo !== undefined && { action: { label: "Undo", run: () => restore(before, undo) } }) });
      }
    });
  };
  const restoreObject = (object: string, seq: number, done: string, undo?: string) => {
    const frameId = newID();
    void attempt("The object was not brought back.", async () => {
      const before = await bringObjectBack(client, boardId, object, seq, frameId);
      if (before === undefined) {
        toast({ text: "The object is like that already." });
      } else {
        toast({ text: done, ...(undo !== undefined && { action: { label: "Undo", run: () => restoreObject(object, before, undo) } }) });
      }
    });
  };
  const copy = (name: string) => void attempt("The board was not copied.", async () => {
    const { id } = await client.call(BoardService.method.forkBoard, { boardId, from: { case: "atSeq", value: BigInt(view.seq) }, name });
    navigate(boardPath(id));
  });
  const setSavepoint = (seq: bigint, name: string) => void attempt("The savepoint was not named.", () => savepoints.set(seq, name));
  const removeSavepoint = (seq: bigint, name: string) => void attempt("The savepoint was not deleted.", async () => {
    await savepoints.remove(seq);
    toast({
      text: name === "" ? "The savepoint was deleted." : `“${name}” was deleted.`,
      ...(name !== "" && { action: { label: "Undo", run: () => setSavepoint(seq, name) } }),
    });
  });
  const empty = view.head === 0;

  return (
    <aside className="history" aria-label="History" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="chat-head">
        <h2>History</h2>
        {view.now
          ? <span className="time-now">Now</span>
          : <button type="button" className="button small" onClick={() => log.go(Infinity)}>Back to now</button>}
        <button type="button" className="icon-button" aria-label="Close history" title="Close history" onClick={onClose}><CloseIcon /></button>
      </header>
      <TimeSlider view={view} groups={groups} savepoints={savepoints.list} person={person} onGo={(seq) => log.go(seq)} />
      {view.error !== undefined && (
        <div className="chat-note" role="alert">
          The history could not be loaded. {explain(view.error)}{" "}
          <button type="button" className="button small" onClick={() => log.retry()}>Try again</button>
        </div>
      )}
      <div className="history-actions">
        {canWrite && (
          <>
            <button type="button" className="button primary" disabled={view.now || view.loading || busy} onClick={() => setAsking("restore")}>
              Restore this moment
            </button>
            <button type="button" className="button" disabled={empty || busy} onClick={() => setAsking("savepoint")}>Name it…</button>
          </>
        )}
        <button type="button" className="button" disabled={empty || busy} onClick={() => setAsking("copy")}>Copy as new board</button>
      </div>
      <ObjectFacts
        view={view} object={past.selected} person={person} canRestore={canWrite && !view.now && !busy}
        onRestore={(object) => restoreObject(object, view.seq, `The object is as it was ${when}.`, "The object is as it was before.")}
        onClose={() => past.onSelect(undefined)}
      />
      <ChangeList
        view={view} groups={newest} savepoints={savepoints.list} person={person} canWrite={canWrite}
        onGo={(seq) => log.go(seq)} onOlder={() => log.loadOlder()} onName={setSavepoint} onDelete={removeSavepoint}
      />
      {asking === "restore" && (
        <Dialog
          title="Restore this moment?" submit="Restore" onClose={() => setAsking(undefined)}
          onSubmit={() => {
            setAsking(undefined);
            restore(view.seq, `The board is as it was ${when}.`, "The board is as it was before.");
          }}
        >
          <p>The board becomes what it was {when}, for everybody. What was changed since stays in the history, and you can undo this.</p>
        </Dialog>
      )}
      {asking === "copy" && (
        <NameDialog
          title="Copy as new board" label="Name of the new board" submit="Copy"
          name={limitCharacters(view.now ? `${boardName} (copy)` : `${boardName}, as it was ${when}`, maxBoardName)}
          onClose={() => setAsking(undefined)} onName={copy}
        />
      )}
      {asking === "savepoint" && (
        <NameDialog
          title="Name this moment" label="Name of the savepoint" submit="Save" name={savepoints.list.find(({ seq }) => Number(seq) === view.seq)?.name ?? ""}
          onClose={() => setAsking(undefined)} onName={(name) => setSavepoint(BigInt(view.seq), name)}
        />
      )}
    </aside>
  );
}

function NameDialog({ title, label, submit, name: first, onName, onClose }: {
  title: string; label: string; submit: string; name: string; onName: (name: string) => void; onClose: () => void;
}): ReactElement {
  const [name, setName] = useState(first);
  const clean = oneLine(name);
  const done = () => {
    if (clean !== "") {
      onClose();
      onName(clean);
    }
  };
  return (
    <Dialog title={title} submit={submit} onSubmit={done} onClose={onClose}>
      <input
        className="input" aria-label={label} value={name} autoFocus spellCheck={false} required onFocus={(event) => event.target.select()}
        onChange={(event) => setName(limitCharacters(event.target.value, maxBoardName))}
      />
    </Dialog>
  );
}
