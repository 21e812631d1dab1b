import type { Member } from "@collaboard/sdk";

import { load, saveEntry } from "./store.js";

const most = 500;
let names: Record<string, string> | undefined;

/**
 * The name under which a user was last seen by this browser. What is in a board's log names its sender by id alone, and
 * only who is there now is known by name.
 */
export function nameOf(userId: string): string | undefined {
  names ??= load("names") ?? {};
  return names[userId];
}

export function rememberNames(members: readonly Member[]): void {
  for (const { userId, displayName } of members) {
    if (displayName !== "" && nameOf(userId) !== displayName) {
      saveEntry("names", userId, displayName, most);
      names = undefined;
    }
  }
}
