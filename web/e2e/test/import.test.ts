import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

import { drawingType, everything, type Drawing } from "../drawing.ts";
import type { Person } from "../person.ts";
import { Stage, text, useBrowser } from "../stage.ts";

// Drawings that people made are not part of this repository: a directory of them can be named.
const directory = process.env["COLLABOARD_DRAWINGS"] ?? resolve(import.meta.dirname, "../../../../shared/data/drawings");
const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith(".excalidraw")) : [];

const browser = useBrowser();

test("a drawing of everything is opened, seen by others, survives a restart, and comes back as it was", { timeout: 90_000 }, () =>
  roundTrip(everything()));

test.each(names)("%s is opened, seen by others, survives a restart, and comes back as it was", { timeout: 120_000 }, (name) =>
  roundTrip(readFileSync(join(directory, name), "utf8")));

test.skipIf(names.length > 0)("drawings that people made", (context) => {
  context.skip(`there are none in ${directory}: name a directory in $COLLABOARD_DRAWINGS`);
});

async function roundTrip(file: string): Promise<void> {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const drawing = JSON.parse(file) as Drawing;
  const want = text(await ada.page.evaluate((elements) => window.collaboard!.normalise(elements), drawing.elements));
  expect(want.split("\n")).toHaveLength(drawing.elements.filter((e) => !e.isDeleted).length);

  await ada.drop(file, "drawing.excalidraw", drawingType);
  await ada.sees(({ elements }) => elements.length > 0);
  expect(text(await stage.converged(ada, bob))).toBe(want);
  await seesFiles(bob, drawing);

  await stage.server.stop("SIGKILL");
  await stage.server.start();
  await Promise.all([ada.live(), bob.live()]);
  const cy = await stage.person("Cy");
  expect(text(await stage.converged())).toBe(want);
  await seesFiles(cy, drawing);
}

/** Waits until somebody has all the images of a drawing, as they were. */
async function seesFiles(person: Person, { elements, files }: Drawing): Promise<void> {
  const shown = new Set(elements.flatMap((e) => (e.type === "image" && !e.isDeleted ? [e.fileId as string] : [])));
  const want = Object.fromEntries([...shown].filter((id) => id in files).map((id) => [id, files[id]!.dataURL]));
  await expect.poll(() => person.page.evaluate(() =>
    Object.fromEntries(Object.entries(window.collaboard!.api.getFiles()).map(([id, { dataURL }]) => [id, dataURL as string]))),
  { timeout: 20_000, message: `what files ${person.name} has` }).toMatchObject(want);
}
