import type { Board, Frame, Member } from "@collaboard/sdk";
import { useEffect, useMemo, useState } from "react";

/**
 * Which of a user's connections they are at: the one that has moved, panned or drawn last. What a connection tells again
 * to somebody who has come is no sign of life.
 */
export class Activity {
  readonly #told = new Map<string, string>(); // by connection id and kind: the last
  readonly #active = new Map<string, number>(); // by connection id
  #count = 0;

  /** Returns whether the sender is at that connection. */
  heard({ connectionId, payload }: Frame): boolean {
    if (!this.#isLife(connectionId, payload)) {
      return false;
    }
    this.#active.set(connectionId, ++this.#count);
    return true;
  }

  #isLife(connectionId: string, payload: Frame["payload"]): boolean {
    if (payload.case === "cursorMove" || payload.case === "viewport") {
      const key = `${connectionId} ${payload.case}`;
      const before = this.#told.get(key);
      const now = JSON.stringify(payload.value);
      this.#told.set(key, now);
      return before !== undefined && before !== now;
    }
    return payload.case === "objectDrag" && payload.value.ops.length > 0;
  }

  /** Of those that nothing is known of, the last, which came last. */
  latest(connections: readonly Member[]): Member | undefined {
    return [...connections].sort((a, b) => (this.#active.get(a.connectionId) ?? 0) - (this.#active.get(b.connectionId) ?? 0)).at(-1);
  }

  /** Forgets all others. */
  keep(members: readonly Member[]): void {
    const here = new Set(members.map((m) => m.connectionId));
    for (const known of [this.#told, this.#active]) {
      [...known.keys()].filter((key) => !here.has(key.split(" ")[0]!)).forEach((key) => known.delete(key));
    }
  }
}

export interface Following {
  readonly member: Member | undefined; // the connection that is followed now
  follow(userId: string | undefined): void;
}

/** Whom the user follows: a person, wherever they are. It ends when that person has left. */
export function useFollowing(board: Board | undefined, members: readonly Member[]): Following {
  const [user, setUser] = useState<string>();
  const [at, setAt] = useState<string>(); // connection id
  const activity = useMemo(() => new Activity(), [board]);
  const connections = members.filter((m) => m.userId === user);
  const member = connections.find((m) => m.connectionId === at) ?? activity.latest(connections);
  useEffect(() => board?.on("signal", (frame) => {
    if (activity.heard(frame) && frame.from === user) {
      setAt(frame.connectionId);
    }
  }), [board, activity, user]);
  const follow = (userId: string | undefined) => {
    setUser(userId);
    setAt(undefined);
  };
  useEffect(() => {
    activity.keep(members);
    if (member === undefined) {
      setUser(undefined);
    }
  }, [activity, members, member]);
  return { member, follow };
}
