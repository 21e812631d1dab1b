import type { Member } from "@collaboard/sdk";
import type { CSSProperties, ReactElement } from "react";

import { useNarrow } from "../ui/media.js";
import { Menu } from "../ui/menu.js";
import { colorOf } from "../whiteboard/color.js";

/** Who is on the board, the user first, each once however often they have it open. A click follows somebody. */
export function People({ members, self, following, onFollow }: {
  members: readonly Member[];
  self: string; // user id
  following: string | undefined; // user id
  onFollow: (userId: string | undefined) => void;
}): ReactElement | null {
  const people = peopleOf(members);
  const others = people.filter((p) => p.userId !== self);
  const shown = useNarrow() ? 1 : 5; // more are in a menu
  const own = people.find((p) => p.userId === self);
  const direct = others.length > shown ? others.slice(0, Math.max(shown - 1, 1)) : others;
  const rest = others.slice(direct.length);
  const toggle = ({ userId }: Person) => onFollow(userId === following ? undefined : userId);
  return (
    <div className="people" role="group" aria-label={`On this board: ${people.length}`}>
      {own && <Face person={own} title={`${own.name} (you${own.connections > 1 ? `, ${own.connections} times` : ""})`} />}
      {direct.map((p) => (
        <button
          key={p.userId} type="button" className="face-button" title={`${p.name}: click to ${following === p.userId ? "stop following" : "follow"}`}
          aria-label={following === p.userId ? `Stop following ${p.name}` : `Follow ${p.name}`}
          aria-pressed={following === p.userId} onClick={() => toggle(p)}
        >
          <Face person={p} />
        </button>
      ))}
      {rest.length > 0 && (
        <Menu
          label={rest.length === 1 ? "1 more person" : `${rest.length} more people`} className="face-button" button={<span className="face rest">+{rest.length}</span>}
          items={rest.map((p) => ({
            key: p.userId, label: p.name, icon: <Face person={p} />, checked: following === p.userId, run: () => toggle(p),
          }))}
        />
      )}
    </div>
  );
}

interface Person {
  readonly userId: string;
  readonly name: string; // of the newest connection
  readonly connections: number;
}

/** The people behind the connections, in the order in which they came. */
export function peopleOf(members: readonly Member[]): Person[] {
  const people = new Map<string, Person>();
  for (const { userId, displayName } of members) {
    people.set(userId, { userId, name: displayName, connections: (people.get(userId)?.connections ?? 0) + 1 });
  }
  return [...people.values()];
}

function Face({ person, title }: { person: Person; title?: string }): ReactElement {
  const label = title === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": title, title };
  return <span className="face" style={{ "--color": colorOf(person.userId) } as CSSProperties} {...label}>{initials(person.name)}</span>;
}

/** One or two letters: of the first word and the last. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((w) => w !== "");
  const first = (word: string | undefined) => [...(word ?? "")][0] ?? "";
  const letters = words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0]);
  return letters.toUpperCase() || "?";
}
