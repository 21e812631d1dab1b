/** The most characters of a board's name that the server takes: Unicode's, of which an emoji may be several. */
export const maxBoardName = 200;

/** What the server takes of a name. */
export function limitBoardName(name: string): string {
  return [...name].slice(0, maxBoardName).join("");
}
