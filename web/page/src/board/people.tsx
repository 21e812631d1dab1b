import type { Member } from "@collaboard/sdk";
import type { CSSProperties, ReactElement } from "react";

import { useNarrow } from "../ui/media.js";
import { Menu } from "../ui/menu.js";
import { colorOf } from "../whiteboard/color.js";

/** Who is on the board, the user first. A click follows somebody. */
export function People({ members, self, following, onFollow }: {
  members: readonly Member[];
  self: string; // connection id
  following: string | undefined;
  onFollow: (connectionId: string | undefined) => void;
}): ReactElement | null {
  const others = members.filter((m) => m.connectionId !== self);
  const shown = useNarrow() ? 1 : 5; // more are in a menu
  const own = members.find((m) => m.connectionId === self);
  const direct = others.length > shown ? others.slice(0, Math.max(shown - 1, 1)) : others;
  const rest = others.slice(direct.length);
  const toggle = (m: Member) => onFollow(m.connectionId === following ? undefined : m.connectionId);
  return (
    <div className="people" role="group" aria-label={`On this board: ${members.length}`}>
      {own && <Face member={own} color={colorOf(own)} title={`${own.displayName} (you)`} />}
      {direct.map((m) => (
        <button
          key={m.connectionId} type="button" className="face-button" title={m.displayName}
          aria-label={following === m.connectionId ? `Stop following ${m.displayName}` : `Follow ${m.displayName}`}
          aria-pressed={following === m.connectionId} onClick={() => toggle(m)}
        >
          <Face member={m} color={colorOf(m)} />
        </button>
      ))}
      {rest.length > 0 && (
        <Menu
          label={`${rest.length} more people`} className="face-button" button={<span className="face rest">+{rest.length}</span>}
          items={rest.map((m) => ({
            label: m.displayName, icon: <Face member={m} color={colorOf(m)} />, checked: following === m.connectionId,
            run: () => toggle(m),
          }))}
        />
      )}
    </div>
  );
}

function Face({ member, color, title }: { member: Member; color: string; title?: string }): ReactElement {
  const label = title === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": title, title };
  return <span className="face" style={{ "--color": color } as CSSProperties} {...label}>{initials(member.displayName)}</span>;
}

/** One or two letters: of the first word and the last. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((w) => w !== "");
  const first = (word: string | undefined) => [...(word ?? "")][0] ?? "";
  const letters = words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0]);
  return letters.toUpperCase() || "?";
}
