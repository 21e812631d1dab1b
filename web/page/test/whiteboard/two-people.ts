import type { Durable } from "@collaboard/sdk";

import { Log } from "./log.js";
import { Person } from "./person.js";

/** Two people at a board on which these were drawn. */
export async function setup(...ids: string[]): Promise<{ log: Log; ada: Person; bob: Person }> {
  const log = new Log();
  const ada = new Person(log, "ada");
  ids.forEach((id) => ada.draw(id));
  await log.accept();
  const bob = new Person(log, "bob");
  ada.paint();
  ada.board.submitted.length = 0;
  return { log, ada, bob };
}

/** The ops of a frame: what each does, and to which element. */
export function opsOf(frame: Durable | undefined): string[] {
  switch (frame?.case) {
    case "objectBatch":
      return (frame.value.ops ?? []).map(({ op }) => op?.case ?? "");
    default:
      return frame === undefined ? [] : [frame.case];
  }
}
