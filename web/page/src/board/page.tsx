import { BoardService, ErrorCode, FrameError, Role, type Client } from "@collaboard/sdk";
import { useEffect, useState, useSyncExternalStore, type ReactElement } from "react";

import { useAsk } from "../ask.js";
import { BoardEdits, type BoardEdit } from "../board-edits.js";
import { ChatLog, type ChatView } from "../chat/log.js";
import { ChatPanel } from "../chat/panel.js";
import { useUnread } from "../chat/unread.js";
import { explain, isOutage } from "../errors.js";
import { HistoryPanel } from "../history/panel.js";
import { useHistory } from "../history/use-history.js";
import { useTheme } from "../theme.js";
import type { Draft } from "../ui/editable.js";
import { WarningIcon } from "../ui/icons.js";
import { Notice } from "../ui/notice.js";
import { useToast } from "../ui/toasts.js";
import type { User } from "../user.js";
import { useFollowing } from "./following.js";
import { onReconnect, useClientState, useMembership } from "./membership.js";
import { watchReturn } from "./return.js";
import { TopBar } from "./top-bar.js";
import { useWhiteboard } from "./whiteboard.js";

const noChat: ChatView = { messages: [], more: false, loading: false, loaded: false, error: undefined };

interface BoardPageProps {
  client: Client;
  id: string;
  user: User;
  onRename: () => void;
}

/** One board, with the people on it. */
export function BoardPage(props: BoardPageProps): ReactElement {
  const [visit, setVisit] = useState(0); // a board that was brought back is opened anew
  return <OpenBoard key={visit} {...props} onReturn={() => setVisit(visit + 1)} />;
}

function OpenBoard({ client, id, user, onRename, onReturn }: BoardPageProps & { onReturn: () => void }): ReactElement {
  const { board, joined, status, members, name, ended, setName } = useMembership(client, id);
  const state = useClientState(client);
  const theme = useTheme();
  const toast = useToast();
  const whiteboard = useWhiteboard();
  const lost = useLost(client, id);
  const [unsent, setUnsent] = useState(false);
  const { member: followed, follow } = useFollowing(board, members);
  const [chatOpen, setChatOpen] = useState(false);

  const [chat, setChat] = useState<ChatLog>();
  useEffect(() => {
    const log = board && new ChatLog(client, board, user.id);
    setChat(log);
    return () => log?.close();
  }, [client, board, user.id]);
  const view = useSyncExternalStore(chat?.subscribe ?? never, chat?.view ?? (() => noChat));
  const unread = useUnread(id, user.id, view, chatOpen);
  const [historyOpen, setHistoryOpen] = useState(false);
  const history = useHistory(client, board, historyOpen && joined);

  useEffect(() => {
    document.title = `${name ?? "Board"} · Collaboard`;
  }, [name]);

  useAsk(unsent);

  const gone = isGone(ended);
  useEffect(() => (gone ? watchReturn(client, id, onReturn) : undefined), [client, id, gone]);

  const error = (text: string) => toast({ kind: "error", text });

  const edits = BoardEdits.of(client);
  const [draft, setDraft] = useState<Draft>();
  const rename = async (edit: BoardEdit, again = false): Promise<void> => {
    try {
      await edits.run(edit, (now) => now !== undefined && setName(now.name), again);
      setDraft(undefined);
    } catch (failure) {
      const until = isOutage(failure) ? (back: () => void) => onReconnect(client, back) : undefined;
      setDraft({ name: edit.name });
      toast({ kind: "error", text: `The board was not renamed. ${explain(failure)}`, ...(until && { until }) });
    }
  };
  const live = status?.live === true;
  useEffect(() => {
    if (live) {
      edits.interrupted.filter((edit) => edit.board === id && edit.kind === "rename").forEach((edit) => void rename(edit, true));
    }
  }, [live]);

  if (ended !== undefined) {
    const restore = () => void client.call(BoardService.method.undeleteBoard, { boardId: id })
      .then(onReturn, (failure) => error(`The board was not brought back. ${explain(failure)}`));
    return <Gone error={ended} joined={joined} lost={lost} onRestore={restore} />;
  }
  const role = status?.role ?? Role.UNSPECIFIED;
  const looksOn = joined && role !== Role.OWNER && role !== Role.EDITOR;
  const writable = !joined || status?.live !== true || status.writable;
  return (
    <div className="board-page">
      <TopBar
        boardId={id} name={name} user={user} members={members} unread={unread} chatOpen={chatOpen}
        saving={{ state, connected: joined, writable, unsent }}
        following={followed?.userId} onFollow={follow}
        draft={draft}
        onName={(to) => void rename({ kind: "rename", board: id, name: to, from: name ?? "" })}
        onCancelName={() => edits.forget(id)}
        onChat={() => {
          setChatOpen(!chatOpen);
          setHistoryOpen(false);
        }}
        historyOpen={historyOpen}
        onHistory={() => {
          setHistoryOpen(!historyOpen);
          setChatOpen(false);
          follow(undefined);
        }}
        onRename={onRename}
      />
      {looksOn && <div className="banner" role="status">You can look at this board, but not change it.</div>}
      {!writable && !looksOn && (
        <div className="banner" role="alert">
          <WarningIcon />
          <span>
            Changes cannot be stored at the moment.{" "}
            {state.kept
              ? "What you change is kept on this device, and saved as soon as it can be."
              : "What you change is only in this tab: keep it open until it is saved."}
          </span>
        </div>
      )}
      <div className="board-body">
        <main className={followed === undefined ? "canvas" : "canvas following"} aria-label="Whiteboard">
          {board !== undefined && joined && whiteboard.module !== undefined && (
            <whiteboard.module.Whiteboard
              client={client} board={board} theme={theme} readOnly={looksOn} name={name ?? "Board"}
              following={followed?.connectionId} onFollow={(id) => follow(members.find((m) => m.connectionId === id)?.userId)}
              onSaving={setUnsent} onError={error} past={history?.past}
            />
          )}
          {whiteboard.error !== undefined && (
            <div className="cover" role="alert">
              <h1>The whiteboard could not be loaded</h1>
              <p>The server may be away, or have another version by now.</p>
              <button type="button" className="button primary" onClick={() => location.reload()}>Load the page again</button>
            </div>
          )}
          {whiteboard.error === undefined && (!joined || whiteboard.module === undefined) && (
            <div className="cover" role="status">
              <span className="spinner large" />
              <p>{state.saving === "offline" && client.lastError !== undefined
                ? "The server cannot be reached. This page keeps trying."
                : "Opening the board…"}</p>
            </div>
          )}
          {followed !== undefined && (
            <div className="following-label" role="status">
              Following {followed.displayName}
              <button type="button" className="button small" onClick={() => follow(undefined)}>Stop</button>
            </div>
          )}
        </main>
        {chatOpen && board !== undefined && chat !== undefined && (
          <ChatPanel
            board={board} user={user} members={members} log={chat} view={view} canWrite={role !== Role.VIEWER}
            onClose={() => setChatOpen(false)} onError={error}
          />
        )}
        {history !== undefined && board !== undefined && (
          <HistoryPanel
            client={client} boardId={board.id} boardName={name ?? "Board"} user={user} members={members} history={history}
            canWrite={!looksOn} onClose={() => setHistoryOpen(false)}
          />
        )}
      </div>
    </div>
  );
}

const never = () => () => {};

/** How many changes the board was gone for. */
function useLost(client: Client, id: string): number {
  const [lost, setLost] = useState(0);
  useEffect(() => client.on("refused", ({ board, code }) => {
    if (board === id && code === ErrorCode.BOARD_NOT_FOUND) {
      setLost((before) => before + 1);
    }
  }), [client, id]);
  return lost;
}

function isGone(ended: Error | undefined): boolean {
  return ended instanceof FrameError && ended.code === ErrorCode.BOARD_NOT_FOUND;
}

/** The board was deleted, or was never there, or may not be read. */
function Gone({ error, joined, lost, onRestore }: { error: Error; joined: boolean; lost: number; onRestore: () => void }): ReactElement {
  if (error instanceof TypeError || isGone(error)) {
    return joined
      ? (
        <Notice title="This board was deleted" text="Somebody has deleted it. It can still be brought back, with everything on it: this page goes on then.">
          {lost > 0 && (
            <p className="notice-more" role="status">
              {lost === 1 ? "1 change of yours came too late, and is not on it." : `${lost} changes of yours came too late, and are not on it.`}
            </p>
          )}
          <button type="button" className="button primary" onClick={onRestore}>Bring it back</button>
        </Notice>
      )
      : <Notice title="There is no such board" text="It may have been deleted, or the address is incomplete." />;
  }
  return <Notice title="This board cannot be opened" text={explain(error)} />;
}
