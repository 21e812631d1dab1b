import { formerUsers, newID } from "@collaboard/sdk";

import { load, save } from "./store.js";
import { limitCharacters, oneLine } from "./ui/characters.js";

/** Who sits before this browser. The server does not ask for more. */
export interface User {
  readonly id: string;
  readonly name: string;
}

/** The most characters of a name that the server takes. */
export const maxName = 128;

/** The user of the visit before; undefined at the first one. */
export function loadUser(): User | undefined {
  const user = load<Partial<User>>("user");
  return typeof user?.id === "string" && typeof user.name === "string" && user.id !== "" && user.name !== ""
    ? { id: user.id, name: user.name }
    : undefined;
}

export function saveUser(user: User): User {
  save("user", user);
  return user;
}

/**
 * Makes a user at the first visit. A visit that ended in a crash may be one that this browser does not remember, though
 * its changes are kept: they are that user's, who goes on.
 */
export async function newUser(name: string): Promise<User> {
  const [former] = await formerUsers(location.origin).catch(() => []);
  return saveUser({ id: former ?? newID(), name });
}

/** A name as the server takes it, on one line; empty where nothing printable is left. */
export function cleanName(text: string): string {
  return limitCharacters(oneLine(text), maxName).trim();
}
