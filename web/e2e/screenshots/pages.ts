import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";

import { BoardService, Client } from "@collaboard/sdk";
import { PageSocket } from "../../sdk/test/socket.ts";
import { put } from "../crowd.ts";
import type { Person } from "../person.ts";
import { picture } from "../picture.ts";
import { Stage, useBrowser } from "../stage.ts";

// The pictures of the documentation. `npm run screenshots -w @collaboard/e2e`

const directory = join(import.meta.dirname, "../../../docs/images");
const browser = useBrowser();

test("docs/images", { timeout: 180_000 }, async () => {
  mkdirSync(directory, { recursive: true });
  const stage = await Stage.open(browser());
  const named = (id: string, name: string) =>
    stage.program.call(BoardService.method.updateBoard, { board: { id, name }, updateMask: { paths: ["name"] } });
  await named(stage.board, "How a frame becomes durable");
  await put(stage.program, stage.board, picture());
  for (const [name, without] of [["Sprint 12", /durable|peers/], ["Ideas", /client|session|durable/]] as const) {
    const { id } = await stage.program.call(BoardService.method.createBoard, { name });
    await put(stage.program, id, picture().filter((element) => !without.test(String(element["id"]))));
  }

  const size = { width: 1280, height: 720 };
  const ada = await stage.person("Ada", { viewport: size });
  const bob = await stage.person("Bob", { viewport: size });
  const cy = await stage.person("Cy", { viewport: size });
  await say(bob, "Who wakes the subscribers?");
  await say(cy, "The room, once the commit has returned.");
  await Promise.all([bob, cy].map(fit));
  await bob.click([310, 60]); // and it is selected
  await bob.point([365, 130]);
  await cy.key("p");
  await cy.press([640, 250], [700, 262], [760, 250], [820, 262], [880, 250]); // in flight
  await ada.page.getByRole("button", { name: /^Chat/ }).click();
  await ada.sees(({ elements }) => elements.some((e) => e.type === "freedraw" && e.points.length > 8));
  await ada.page.waitForFunction(() => [...window.collaboard!.api.getAppState().collaborators.values()].filter((c) => c.pointer).length >= 2);
  await ada.page.getByText("The room, once").waitFor();
  await fit(ada);
  await shoot(ada, "board");
  await cy.page.mouse.up();
  await cy.saved();

  const dark = await stage.person("Dee", { viewport: size, colorScheme: "dark" });
  await fit(dark);
  await bob.point([365, 135]);
  await shoot(dark, "board-dark");
  await dark.context.close();

  const phone = await stage.person("Eve", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  await fit(phone);
  await shoot(phone, "phone");

  await ada.saved();
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await ada.page.waitForFunction(() => document.querySelectorAll(".card-picture img").length === 3
    && document.getAnimations().length === 0); // the pictures fade in
  await shoot(ada, "boards");
});

test("docs/images of the history", { timeout: 180_000 }, async () => {
  const stage = await Stage.open(browser());
  const { updateBoard, setSavepoint } = BoardService.method;
  await stage.program.call(updateBoard, { board: { id: stage.board, name: "How a frame becomes durable" }, updateMask: { paths: ["name"] } });
  const size = { width: 1280, height: 720 };
  const ada = await stage.person("Ada", { viewport: size });
  const [bob, cy] = [await stage.person("Bob"), await stage.person("Cy")];
  const parts = [[ada, /^(client|session)/], [bob, /^(committer|database)/], [cy, /^(room|peers)/], [bob, /^durable/]] as const;
  for (const [person, part] of parts) {
    const program = new Client({ url: stage.server.url, webSocket: PageSocket, storage: false, userId: person.id });
    for (const element of picture().filter(({ id }) => part.test(String(id)))) {
      await put(program, stage.board, [element]);
    }
    if (person === cy) {
      await program.call(setSavepoint, { boardId: stage.board, name: "Before the review" });
    }
    await program.close();
  }
  for (const [person, name] of [[ada, "history"], [await stage.person("Dee", { viewport: size, colorScheme: "dark" }), "history-dark"]] as const) {
    const { page } = person;
    await page.getByRole("button", { name: "History" }).click();
    await page.getByText("The history begins here.").waitFor();
    await page.waitForFunction(() => window.collaboard?.moment?.getSceneElements().length === 20);
    await page.evaluate(() => window.collaboard!.moment!.scrollToContent(undefined, { fitToViewport: true, viewportZoomFactor: 0.85, animate: false }));
    await page.getByRole("button", { name: /^Before the review/ }).click();
    await page.waitForFunction(() => window.collaboard!.moment!.getSceneElements().length === 18);
    const [x, y] = await page.evaluate(() => {
      const { scrollX, scrollY, zoom, offsetLeft, offsetTop } = window.collaboard!.moment!.getAppState();
      return [(600 + scrollX) * zoom.value + offsetLeft, (60 + scrollY) * zoom.value + offsetTop] as const;
    });
    await page.mouse.click(x, y); // the committer
    await page.getByRole("region", { name: "Selected object" }).getByRole("heading", { name: "Rectangle" }).waitFor();
    await page.mouse.move(x, y + 130);
    await person.painted();
    await person.painted();
    await shoot(person, name);
  }
});

/** Shows all of the board. */
async function fit({ page }: Person): Promise<void> {
  await page.evaluate(() => window.collaboard!.api.scrollToContent(undefined, { fitToViewport: true, viewportZoomFactor: 0.85, animate: false }));
}

async function say(person: Person, text: string): Promise<void> {
  await person.page.getByRole("button", { name: /^Chat/ }).click();
  await person.page.getByLabel("Message", { exact: true }).fill(text);
  await person.page.keyboard.press("Enter");
  await person.saved();
  await person.page.getByRole("button", { name: "Close chat" }).click();
}

async function shoot(person: Person, name: string): Promise<void> {
  await person.page.evaluate(() => document.fonts.ready);
  await person.page.screenshot({ path: join(directory, `${name}.png`) });
}
