import { expect, test } from "vitest";

import { loadFonts } from "../../src/whiteboard/fonts.js";

test("the fonts that the toolbar offers are fetched, all of their parts, and no others", () => {
  const fetched: string[] = [];
  const face = (family: string) => ({
    family,
    load: () => {
      fetched.push(family);
      return Promise.reject(new Error("no network")); // which nobody need hear of
    },
  }) as unknown as FontFace;
  loadFonts(["Excalifont", "Excalifont", "Nunito", "\"Comic Shanns\"", "Xiaolai", "Virgil"].map(face));
  expect(fetched).toEqual(["Excalifont", "Excalifont", "Nunito", "\"Comic Shanns\""]);
});
