import type { Browser } from "playwright-core";

import { BoardService } from "@collaboard/sdk";
import type { Person } from "./person.ts";
import { Stage } from "./stage.ts";

/** Two people before one thing. */
export interface Pair {
  readonly stage: Stage;
  readonly ada: Person;
  readonly bob: Person;
}

/** Ada and Bob, and a rectangle from (100, 100) to (300, 200) on the board, which Ada drew. */
export async function pairWithRectangle(browser: Browser): Promise<Pair> {
  const stage = await Stage.open(browser);
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.draw("r", [100, 100], [300, 200]);
  await ada.key("Escape");
  await bob.sees(({ elements }) => elements.length === 1);
  await stage.converged();
  return { stage, ada, bob };
}

/** Ada types a text at (200, 200), of which Bob sees the first word. */
export async function pairAtText(browser: Browser): Promise<Pair> {
  const stage = await Stage.open(browser);
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.key("t");
  await ada.click([200, 200]);
  await ada.page.keyboard.type("Hello");
  await bob.sees(({ elements }) => elements.some((e) => e.type === "text" && e.text === "Hello"));
  return { stage, ada, bob };
}

/** Where the rectangle's edge, and its corner's handle, can be taken hold of. */
export const edge = [100, 150] as const;
export const corner = [304, 204] as const;

/** How many frames of the log are somebody's. */
export async function changes(stage: Stage, person: Person): Promise<number> {
  const log = await stage.program.callAll(BoardService.method.readLog, { boardId: stage.board });
  return log.filter((frame) => frame.from === person.id).length;
}
