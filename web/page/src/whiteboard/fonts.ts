/** Those that Excalidraw offers without a search for more. */
const families: ReadonlySet<string> = new Set(["Excalifont", "Nunito", "Comic Shanns"]);

/**
 * Fetches the fonts, a few hundred KB, that the toolbar offers: a browser fetches one when it is first drawn with, which
 * may be when there is no network any more. Excalidraw must have opened a scene, for then it has declared them.
 */
export function loadFonts(fonts: Iterable<FontFace> = document.fonts): void {
  for (const font of fonts) {
    if (families.has(font.family.replace(/^["']|["']$/g, ""))) {
      font.load().catch(() => {}); // then it is drawn with another
    }
  }
}
