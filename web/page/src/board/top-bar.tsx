import type { Member } from "@collaboard/sdk";
import type { ReactElement } from "react";

import { Link } from "../route.js";
import { CopyDialog, useCopyLink } from "../ui/copy-link.js";
import { EditField, useEditing, type Draft } from "../ui/editable.js";
import { BackIcon, ChatIcon, HistoryIcon, LinkIcon } from "../ui/icons.js";
import { UserMenu } from "../ui/user-menu.js";
import type { User } from "../user.js";
import { People } from "./people.js";
import { SaveState, type SaveFacts } from "./save-state.js";

export function TopBar({
  boardId, name, user, members, saving, unread, chatOpen, historyOpen, following, draft, onFollow, onName, onCancelName, onChat, onHistory, onRename,
}: {
  boardId: string;
  name: string | undefined; // undefined until it is known
  user: User;
  members: readonly Member[];
  saving: SaveFacts;
  unread: number;
  chatOpen: boolean;
  historyOpen: boolean;
  following: string | undefined; // user id
  onFollow: (userId: string | undefined) => void;
  draft: Draft | undefined; // of the name
  onName: (name: string) => void;
  onCancelName: () => void;
  onChat: () => void;
  onHistory: () => void;
  onRename: () => void;
}): ReactElement {
  const editing = useEditing(draft);
  const copy = useCopyLink(boardId);
  return (
    <header className="bar">
      <Link className="icon-button" href="/" aria-label="All boards" title="All boards"><BackIcon /></Link>
      <div className="board-title">
        {editing.field !== undefined && name !== undefined
          ? <EditField label="Name of the board" value={name} editing={editing} onChange={onName} onCancel={onCancelName} />
          : (
            <h1>
              <button
                ref={editing.shown} type="button" className="name-button" title="Rename" disabled={name === undefined}
                onClick={editing.begin}
              >
                {name ?? "…"}
              </button>
            </h1>
          )}
        <SaveState {...saving} />
      </div>
      <div className="bar-space" />
      <People members={members} self={user.id} following={following} onFollow={onFollow} />
      <button type="button" className="button share" aria-label="Share" onClick={copy.run}><LinkIcon /><span>Share</span></button>
      <button
        type="button" className="icon-button" aria-label="History" title="History" aria-pressed={historyOpen} onClick={onHistory}
      >
        <HistoryIcon />
      </button>
      <button
        type="button" className="icon-button" aria-label={unread > 0 ? `Chat, ${unread} unread` : "Chat"} title="Chat"
        aria-pressed={chatOpen} onClick={onChat}
      >
        <ChatIcon />
        {unread > 0 && <span className="unread" aria-hidden="true">{unread > 9 ? "9+" : unread}</span>}
      </button>
      <UserMenu user={user} onRename={onRename} more={[{ label: "Copy link", icon: <LinkIcon />, run: copy.run }]} />
      {copy.shown !== undefined && <CopyDialog link={copy.shown} onClose={copy.close} />}
    </header>
  );
}
