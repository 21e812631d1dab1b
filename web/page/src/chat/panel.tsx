import type { Board, Member } from "@collaboard/sdk";
import {
  useEffect, useLayoutEffect, useRef, useState, type CSSProperties, type KeyboardEvent, type ReactElement,
} from "react";

import { explain } from "../errors.js";
import { nameOf } from "../names.js";
import { clock, dayOf } from "../time.js";
import { CloseIcon, DownIcon, SendIcon } from "../ui/icons.js";
import type { User } from "../user.js";
import { colorOf } from "../whiteboard/color.js";
import type { ChatLog, ChatView, Message } from "./log.js";
import { useTyping, useTypingSignal } from "./typing.js";

const maxBytes = 16_384; // of a message
const bottomSlack = 40; // px from the end that still count as the end

export interface PanelProps {
  board: Board;
  user: User;
  members: readonly Member[];
  log: ChatLog;
  view: ChatView;
  canWrite: boolean;
  onClose: () => void;
  onError: (text: string) => void;
}

export function ChatPanel({ board, user, members, log, view, canWrite, onClose, onError }: PanelProps): ReactElement {
  const list = useRef<HTMLDivElement>(null);
  const anchor = useRef({ atEnd: true, first: "", height: 0 });
  const [newer, setNewer] = useState(false); // there is something below what is seen
  const lastId = view.messages.at(-1)?.id;
  const lastFrom = view.messages.at(-1)?.from;

  // The end stays in view where it was, and so does what is read while older messages come in above it.
  useLayoutEffect(() => {
    const box = list.current!;
    const was = anchor.current;
    const first = view.messages[0]?.id ?? "";
    if (was.atEnd || lastFrom === user.id) {
      box.scrollTop = box.scrollHeight;
      log.trim();
    } else if (first !== was.first) {
      box.scrollTop += box.scrollHeight - was.height;
    } else {
      setNewer(true);
    }
    anchor.current = { ...was, first, height: box.scrollHeight };
  }, [view.messages[0]?.id, lastId]);

  const scrolled = () => {
    const box = list.current!;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < bottomSlack;
    anchor.current = { ...anchor.current, atEnd, height: box.scrollHeight };
    if (atEnd) {
      setNewer(false);
    }
    if (box.scrollTop < 200 && view.more && !view.loading && view.error === undefined) {
      log.loadOlder();
    }
  };
  const toEnd = () => list.current?.scrollTo({ top: list.current.scrollHeight });

  return (
    <aside className="chat" aria-label="Chat" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="chat-head">
        <h2>Chat</h2>
        <button type="button" className="icon-button" aria-label="Close chat" title="Close chat" onClick={onClose}><CloseIcon /></button>
      </header>
      <div className="chat-list" ref={list} onScroll={scrolled} role="log" aria-label="Messages" tabIndex={0}>
        {view.error !== undefined && (
          <div className="chat-note" role="alert">
            Messages could not be loaded. {explain(view.error)}{" "}
            <button type="button" className="button small" onClick={() => log.loadOlder()}>Try again</button>
          </div>
        )}
        {view.loading && <div className="chat-note"><span className="spinner" /> Loading…</div>}
        {view.loaded && !view.more && view.messages.length > 0 && <div className="chat-note">The chat begins here.</div>}
        {view.loaded && view.messages.length === 0 && (
          <div className="chat-empty">Nothing was said here yet. Whoever opens this board can read it.</div>
        )}
        {view.messages.map((message, n) => (
          <Line
            key={message.id} message={message} before={view.messages[n - 1]} own={message.from === user.id}
            name={message.from === user.id ? user.name : (message.name || nameOf(message.from)) ?? "Somebody"} color={colorOf(message.from)}
            onRetry={() => {
              try {
                log.send(message.text);
                log.forget(message.id);
              } catch (error) {
                onError(explain(error));
              }
            }}
            onForget={() => log.forget(message.id)}
          />
        ))}
      </div>
      {newer && <button type="button" className="button small chat-newer" onClick={toEnd}><DownIcon />New messages</button>}
      <TypingLine board={board} members={members} user={user} />
      {canWrite
        ? <Composer board={board} onSend={(text) => log.send(text)} onError={onError} />
        : <div className="chat-note">You can read here, not write.</div>}
    </aside>
  );
}

const together = 5 * 60_000; // ms within which messages of one person need one name

function Line({ message, before, own, name, color, onRetry, onForget }: {
  message: Message; before: Message | undefined; own: boolean; name: string; color: string;
  onRetry: () => void; onForget: () => void;
}): ReactElement {
  const day = dayOf(message.time);
  const newDay = before === undefined || dayOf(before.time) !== day;
  const headed = newDay || before.from !== message.from || message.time.getTime() - before.time.getTime() > together;
  const waits = message.seq === 0 && message.failed === undefined;
  return (
    <>
      {newDay && <div className="chat-day" role="separator">{day}</div>}
      <article className={`message${own ? " own" : ""}${headed ? " headed" : ""}${waits ? " pending" : ""}`}>
        {headed && (
          <div className="message-head">
            <span className="message-dot" style={{ "--color": color } as CSSProperties} />
            <span className="message-name">{name}</span>
            <time dateTime={message.time.toISOString()} title={message.time.toLocaleString()}>{clock(message.time)}</time>
          </div>
        )}
        <div className="message-text">{message.text}</div>
        {waits && <div className="message-state">Sending…</div>}
        {message.failed !== undefined && (
          <div className="message-state failed" role="alert">
            Not sent. {message.failed}{" "}
            <button type="button" className="button small" onClick={onRetry}>Try again</button>{" "}
            <button type="button" className="button small" onClick={onForget}>Discard</button>
          </div>
        )}
      </article>
    </>
  );
}

function TypingLine({ board, members, user }: { board: Board; members: readonly Member[]; user: User }): ReactElement {
  const typing = useTyping(board);
  const names = [...new Set(members
    .filter((m) => typing.includes(m.connectionId) && m.userId !== user.id)
    .map((m) => m.displayName))];
  const text = {
    0: "", 1: `${names[0]} is typing…`, 2: `${names[0]} and ${names[1]} are typing…`,
  }[names.length] ?? "Several people are typing…";
  return <div className="chat-typing" aria-live="polite">{text}</div>;
}

function Composer({ board, onSend, onError }: {
  board: Board; onSend: (text: string) => void; onError: (text: string) => void;
}): ReactElement {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const typing = useTypingSignal(board);
  const bytes = new TextEncoder().encode(text.trim()).length;
  useEffect(() => field.current?.focus(), []);
  useLayoutEffect(() => { // as high as its text, up to what the style allows
    field.current!.style.height = "auto";
    field.current!.style.height = `${field.current!.scrollHeight}px`;
  }, [text]);

  const send = () => {
    if (bytes === 0 || bytes > maxBytes) {
      return;
    }
    try {
      onSend(text.trim());
      setText("");
      typing.sent();
    } catch (error) {
      onError(`The message was not sent. ${explain(error)}`);
    }
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    }
    if (event.key !== "Escape") {
      event.stopPropagation(); // the canvas has shortcuts
    }
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field} rows={1} value={text} placeholder="Write a message" aria-label="Message" onKeyDown={key}
        onChange={(event) => {
          setText(event.target.value);
          typing.typed();
        }}
      />
      <button type="submit" className="icon-button primary" aria-label="Send" title="Send" disabled={bytes === 0 || bytes > maxBytes}>
        <SendIcon />
      </button>
      {bytes > maxBytes && <div className="composer-note" role="alert">This message is too long.</div>}
    </form>
  );
}
