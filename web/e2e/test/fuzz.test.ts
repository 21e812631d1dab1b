import { expect, onTestFailed, test } from "vitest";

import type { Person, Point } from "../person.ts";
import { random } from "../random.ts";
import { Stage, useBrowser } from "../stage.ts";

// $FUZZ_ROUNDS and $FUZZ_SEED: a seed decides what each person does and how slow each network is, but not when what meets.
const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 1);
const firstSeed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000);
const operations = 60;

const browser = useBrowser();

test.each(Array.from({ length: rounds }, (_, i) => firstSeed + i))(
  "three people who draw, change, delete and undo over slow networks see the same in the end: seed %d",
  { timeout: 240_000 },
  async (seed) => {
    const stage = await Stage.open(browser());
    const people = [await stage.person("Ada"), await stage.person("Bob"), await stage.person("Cy")];
    const done: string[] = [];
    onTestFailed(() => console.log(`seed ${seed}:\n${done.join("\n")}`));
    await Promise.all(people.map(async (person, i) => {
      const r = random(seed * people.length + i);
      person.network.delay = () => r() * 100;
      for (let n = 0; n < operations; n++) {
        const name = await operate(person, r);
        done.push(`${person.name}: ${name}`);
      }
      await person.key("Escape");
      await person.key("Escape");
      person.network.delay = undefined;
    }));
    const scene = await stage.converged();
    expect(scene.length).toBeGreaterThan(0);
  },
);

/** Does one thing, and says what. */
async function operate(person: Person, r: () => number): Promise<string> {
  const point = (): Point => [Math.round(300 + 800 * r()), Math.round(120 + 400 * r())];
  const chance = r();
  if (chance < 0.35) {
    const key = "rdoalp"[Math.floor(r() * 6)]!;
    await person.draw(key, point(), point());
    await person.key("v");
    return `draw ${key}`;
  }
  if (chance < 0.4) {
    await person.key("t");
    await person.click(point());
    await person.page.keyboard.type(Math.floor(r() * 1e6).toString(36));
    await person.key("Escape");
    await person.key("v");
    return "type";
  }
  if (chance < 0.55) {
    await person.undo();
    return "undo";
  }
  if (chance < 0.62) {
    await person.redo();
    return "redo";
  }
  // All else is about something that is there. Another thing may lie above it, and then it is about that.
  const elements = await person.elements();
  const element = elements[Math.floor(r() * elements.length)];
  if (element === undefined) {
    return "nothing to do";
  }
  const at: Point = element.type === "text" ? [element.x + element.width / 2, element.y + element.height / 2]
    : "points" in element ? [element.x + element.points[0]![0], element.y + element.points[0]![1]]
    : [element.x, element.y + element.height / 2];
  if (chance < 0.75) {
    const [dx, dy] = [Math.round(100 * (r() - 0.5)), Math.round(100 * (r() - 0.5))];
    await person.drag(at, [at[0] + dx, at[1] + dy]);
    return `move ${element.id}`;
  }
  await person.click(at);
  if (chance < 0.8) {
    await person.key("Delete");
    return `delete ${element.id}`;
  }
  if (chance < 0.9) {
    const pick = person.page.getByTestId(`color-top-pick-${["#e03131", "#2f9e44", "#1971c2", "#f08c00"][Math.floor(r() * 4)]}`);
    if (await pick.isVisible()) { // and another may delete the thing now, and with it the panel
      await pick.click({ timeout: 500 }).catch(() => {});
    }
    return `recolour ${element.id}`;
  }
  const [name, key] = ([
    ["to the front", "Control+Shift+]"], ["to the back", "Control+Shift+["], ["duplicate", "Control+d"], ["nudge", "ArrowRight"],
  ] as const)[Math.floor(r() * 4)]!;
  await person.key(key);
  return `${name} ${element.id}`;
}
