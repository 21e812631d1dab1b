import type { Client } from "@collaboard/sdk";
import { useEffect, useRef, useState, type ReactElement } from "react";

import { BoardEdits, type BoardEdit } from "../board-edits.js";
import { explain } from "../errors.js";
import { boardPath, navigate } from "../route.js";
import type { Draft } from "../ui/editable.js";
import { PlusIcon, WarningIcon } from "../ui/icons.js";
import { Logo } from "../ui/logo.js";
import { useToast } from "../ui/toasts.js";
import { UserMenu } from "../ui/user-menu.js";
import type { User } from "../user.js";
import { useBoards } from "./boards.js";
import { Card } from "./card.js";

const done = { rename: "renamed", delete: "deleted", undelete: "brought back" };

/** All boards. */
export function List({ client, user, onRename }: { client: Client; user: User; onRename: () => void }): ReactElement {
  const { boards, more, error, refresh, loadMore, create, edit: make } = useBoards(client);
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Draft>>(new Map()); // names that the server did not take, by board
  const [creating, setCreating] = useState(false);
  const toast = useToast();
  useEffect(() => {
    document.title = "Boards · Collaboard";
  }, []);

  const dropDraft = (board: string) => setDrafts((now) => new Map([...now].filter(([id]) => id !== board)));
  const perform = async (edit: BoardEdit, again = false): Promise<void> => {
    try {
      await make(edit, again);
      dropDraft(edit.board);
      if (edit.kind === "delete") {
        toast({ text: `“${edit.name}” was deleted.`, action: { label: "Undo", run: () => void perform({ ...edit, kind: "undelete" }) } });
      }
    } catch (failure) {
      const text = `${edit.kind === "rename" ? "The board" : `“${edit.name}”`} was not ${done[edit.kind]}. ${explain(failure)}`;
      if (edit.kind === "rename") {
        setDrafts((now) => new Map(now).set(edit.board, { name: edit.name }));
        toast({ kind: "error", text });
      } else {
        toast({ kind: "error", text, action: { label: "Try again", run: () => void perform(edit) } });
      }
    }
  };
  const known = boards !== undefined && error === undefined;
  useEffect(() => {
    if (known) {
      BoardEdits.of(client).interrupted.forEach((edit) => void perform(edit, true));
    }
  }, [client, known]);
  const createBoard = async () => {
    setCreating(true);
    try {
      navigate(boardPath((await create("Untitled board")).id));
    } catch (failure) {
      toast({ kind: "error", text: `The board was not created. ${explain(failure)}` });
      setCreating(false);
    }
  };
  const newBoard = (
    <button type="button" className="button primary" onClick={createBoard} disabled={creating}><PlusIcon />New board</button>
  );

  return (
    <div className="list-page">
      <header className="bar">
        <Logo />
        <div className="bar-space" />
        <UserMenu user={user} onRename={onRename} />
      </header>
      <main className="list">
        <div className="list-head">
          <h1>Boards</h1>
          {boards !== undefined && boards.length > 0 && newBoard}
        </div>
        {error !== undefined && boards !== undefined && (
          <div className="banner" role="alert">
            <WarningIcon />
            <span>This list may be out of date. {explain(error)}</span>
            <button type="button" className="button small" onClick={refresh}>Try again</button>
          </div>
        )}
        {error !== undefined && boards === undefined && (
          <div className="empty" role="alert">
            <h2>The boards could not be loaded</h2>
            <p>{explain(error)} This page keeps trying.</p>
            <button type="button" className="button primary" onClick={refresh}>Try again</button>
          </div>
        )}
        {boards === undefined && error === undefined && <Waiting />}
        {boards?.length === 0 && (
          <div className="empty">
            <h2>No boards yet</h2>
            <p>A board is a page without edges, to draw on together. Make one, and send its address to others.</p>
            {newBoard}
          </div>
        )}
        <ul className="cards">
          {boards?.map((board) => (
            <Card
              key={board.id} client={client} board={board} user={user} draft={drafts.get(board.id)}
              onRename={(name) => void perform({ kind: "rename", board: board.id, name, from: board.name })}
              onCancel={() => {
                BoardEdits.of(client).forget(board.id);
                dropDraft(board.id);
              }}
              onDelete={() => void perform({ kind: "delete", board: board.id, name: board.name })}
            />
          ))}
        </ul>
        {more && <More onVisible={loadMore} />}
      </main>
    </div>
  );
}

function Waiting(): ReactElement {
  return (
    <ul className="cards" aria-label="Loading boards" aria-busy="true">
      {Array.from({ length: 6 }, (_, n) => <li key={n} className="card waiting"><div className="card-picture" /><div className="card-text" /></li>)}
    </ul>
  );
}

/** The end of what is loaded: more is loaded when it comes into view. */
function More({ onVisible }: { onVisible: () => void }): ReactElement {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && onVisible(), { rootMargin: "400px" });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }); // anew each time: where the end is still in view after a page, it says so again
  return <div ref={ref} className="more"><button type="button" className="button" onClick={onVisible}>Load more</button></div>;
}
