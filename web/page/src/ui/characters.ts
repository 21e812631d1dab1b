/** The most characters of a board's name that the server takes. */
export const maxBoardName = 200;

/** The beginning of a text, in characters as the server counts them: Unicode's, of which an emoji may be several. */
export function limitCharacters(text: string, most: number): string {
  return [...text].slice(0, most).join("");
}

/** A text as a name on one line: the server takes no characters that print nothing, as those that join emoji. */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, " ").replace(/\p{C}/gu, "").trim();
}
