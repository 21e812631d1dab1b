import { expect, test } from "vitest";

import { fieldsOf } from "../../page/src/whiteboard/fields.ts";
import { frameOf } from "../../page/src/whiteboard/frames.ts";
import { updateOp } from "../../page/src/whiteboard/mapping.ts";
import { pairWithRectangle } from "../pair.ts";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

// What others put on a board is drawn, and is never run.

const browser = useBrowser();

const ran = (person: Person) => person.page.evaluate(() => (window as { ran?: boolean }).ran === true);

test("a picture with a script in it is a picture, and asks for nothing", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.drop(
    `<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><script>top.ran = true; fetch("https://elsewhere.example/")</script>
    <image href="https://elsewhere.example/picture.png" width="9" height="9"/><rect width="90" height="90" fill="red"/></svg>`,
    "picture.svg", "image/svg+xml");
  await bob.sees(({ elements }) => elements.some((e) => e.type === "image"));
  await stage.converged();
  await bob.page.waitForFunction(() => Object.keys(window.collaboard!.api.getFiles()).length === 1);
  await bob.draw("r", [400, 300], [500, 400]); // by then it was painted
  await ada.sees(({ elements }) => elements.length === 2);
  for (const person of [ada, bob]) {
    expect(await ran(person)).toBe(false);
    expect(person.requests.filter((request) => request.includes("elsewhere"))).toEqual([]);
  }
});

test.each(["javascript:opener.ran=ran=true", " \u0001java\nscript:opener.ran=ran=true"])("a link that would run something (%j) does not", async (link) => {
  const { stage, bob } = await pairWithRectangle(browser());
  const [rectangle] = await bob.elements();
  stage.program.submit(stage.board, frameOf([updateOp({ ...fieldsOf(rectangle!), link }, { link })]));
  await bob.sees(({ elements }) => elements[0]!.link !== null);
  const opened = bob.context.waitForEvent("page");
  const [x, y] = await bob.at([300, 100]);
  await bob.page.mouse.click(x + 6, y - 6); // where the link is
  const tab = await opened;
  await tab.waitForLoadState();
  expect([tab.url(), await ran(bob)]).toEqual(["about:blank", false]);
});
