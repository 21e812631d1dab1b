import { newID } from "@collaboard/sdk";

import { load, save } from "./store.js";

/** Who sits before this browser. The server does not ask for more. */
export interface User {
  readonly id: string;
  readonly name: string;
}

/** The most characters that the server takes. */
export const maxName = 128;

/** The user of the visit before; undefined at the first one. */
export function loadUser(): User | undefined {
  const user = load<Partial<User>>("user");
  return typeof user?.id === "string" && typeof user.name === "string" && user.id !== "" && user.name !== ""
    ? { id: user.id, name: user.name }
    : undefined;
}

/** Sets the user's name, and makes the user where there is none yet. */
export function saveUser(name: string): User {
  const user = { id: loadUser()?.id ?? newID(), name };
  save("user", user);
  return user;
}

/** A name as it may be shown on one line; empty where nothing printable is left. */
export function cleanName(text: string): string {
  return [...text.replace(/[\p{C}\s]+/gu, " ").trim()].slice(0, maxName).join("").trim();
}
