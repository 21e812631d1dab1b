import type { Member } from "@collaboard/sdk";

/** The colour that Excalidraw gives to the cursors of a user, who is given as a member or by the user's id. */
export function colorOf(member: Member | string): string {
  const id = typeof member === "string" ? member : member.userId;
  let hash = 0;
  for (let i = 0; i < id.length; i++) {
    hash = (hash << 5) - hash + id.charCodeAt(i);
  }
  return `hsl(${(Math.abs(hash) % 37) * 10}, 100%, 83%)`;
}
