import { expect, test } from "vitest";

import { BoardService } from "@collaboard/sdk";
import { hold } from "../hold.ts";
import type { Person, Point } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

test("who comes for the first time is asked for a name, and nothing else, and is where they wanted to be", async () => {
  const stage = await Stage.open(browser());
  const { page, ...ada } = await stage.visitor("Ada", { newcomer: true });
  await page.goto(`${ada.network.url}/b/${stage.board}`);
  await page.getByLabel("Display name").fill("Ada Lovelace");
  expect(await page.getByRole("textbox").count()).toBe(1);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForFunction(() => window.collaboard?.board.members.some((member) => member.displayName === "Ada Lovelace"));
  await page.reload();
  await page.waitForFunction(() => window.collaboard?.board.status.live);
});

test("a board is made, renamed, found in the list, deleted and brought back", async () => {
  const stage = await Stage.open(browser());
  const { page, ...ada } = await stage.visitor("Ada");
  await page.goto(ada.network.url);
  await page.getByRole("link", { name: "A board" }).waitFor(); // the stage's
  await page.getByRole("button", { name: "New board" }).click();
  await page.waitForFunction(() => window.collaboard?.board.status.live);
  await page.getByRole("button", { name: "Untitled board" }).click();
  await page.getByLabel("Name of the board").fill("Plans");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Plans" }).waitFor();
  await page.getByRole("link", { name: "All boards" }).click();
  await page.getByRole("link", { name: "Plans" }).waitFor();

  await page.getByRole("button", { name: "Menu of Plans" }).click();
  await page.getByRole("menuitem", { name: "Rename" }).click();
  await page.getByLabel("Name of the board").fill("Better plans");
  const stored = page.waitForEvent("websocket", (socket) => socket.url().endsWith("/UpdateBoard"))
    .then((call) => (call.isClosed() ? call : call.waitForEvent("close"))); // the new name is shown before
  await page.keyboard.press("Enter");
  const card = page.getByRole("link", { name: "Better plans" });
  await card.waitFor();
  await stored;
  await page.reload();
  await card.waitFor();

  await page.getByRole("button", { name: "Menu of Better plans" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await card.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Undo" }).click();
  await card.waitFor();
  await card.click();
  await page.waitForFunction(() => window.collaboard?.board.status.live);
});

test("a board's new name is seen by who is on it, and so is its end", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.page.getByRole("button", { name: "A board" }).click();
  await ada.page.getByLabel("Name of the board").fill("Another name");
  await ada.page.keyboard.press("Enter");
  await bob.page.getByRole("button", { name: "Another name" }).waitFor();
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await ada.page.getByRole("button", { name: "Menu of Another name" }).click();
  await ada.page.getByRole("menuitem", { name: "Delete" }).click();
  await bob.page.getByText("This board was deleted").waitFor();
});

test("the page of a deleted board tells no more of it than that, and goes on when the board is back", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const board = await bob.page.evaluateHandle(() => window.collaboard!.board);
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await ada.page.getByRole("button", { name: "Menu of A board" }).click();
  await ada.page.getByRole("menuitem", { name: "Delete" }).click();
  await bob.page.getByText("This board was deleted").waitFor();
  const refusal = await board.evaluate(async (ended) => {
    const why = await ended.submit({ case: "chatMessage", value: { text: "too late" } }).acked.catch(String);
    await new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)));
    return why;
  });
  expect(refusal).toContain("BOARD_NOT_FOUND");
  expect(await bob.page.getByRole("alert").count()).toBe(0);
  await ada.page.getByRole("button", { name: "Undo" }).click();
  await bob.page.getByRole("button", { name: "A board" }).waitFor();
  await bob.live();
});

test("who was drawing when a board was deleted is told what is not on it", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  ada.network.hold();
  await ada.draw("r", [100, 100], [300, 200]);
  await ada.page.getByText("Saving…").waitFor();
  await stage.program.call(BoardService.method.deleteBoard, { boardId: stage.board });
  ada.network.up();
  await ada.page.getByText("This board was deleted").waitFor();
  await ada.page.getByText("1 change of yours came too late, and is not on it.").waitFor();
});

test("where changes cannot be kept a page that was opened at the list says so on the board", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.visitor("Ada");
  await ada.page.addInitScript(() => {
    indexedDB.open = () => {
      throw new DOMException("no", "SecurityError");
    };
  });
  await ada.visit("/");
  await ada.page.getByRole("link", { name: "A board" }).click();
  await ada.live();
  ada.network.down();
  await ada.draw("r", [400, 300], [500, 400]);
  await ada.page.getByText("Offline: 1 change only in this tab").waitFor();
});

test("a name that the server did not get stays in its field, and the error goes with the outage", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  ada.network.down();
  await ada.page.getByRole("button", { name: "A board" }).click();
  const field = ada.page.getByLabel("Name of the board");
  await field.fill("Plans");
  await ada.page.keyboard.press("Enter");
  const told = ada.page.getByRole("alert").getByText("The board was not renamed.");
  await told.waitFor();
  await expect.poll(() => field.inputValue()).toBe("Plans");
  await told.hover(); // it would not go by itself
  ada.network.up();
  await told.waitFor({ state: "detached" });
  await field.press("Enter");
  await ada.page.getByRole("button", { name: "Plans" }).waitFor();
});

test("a name that is too long is not taken further, and the person is told", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  await ada.page.getByRole("button", { name: "A board" }).click();
  const field = ada.page.getByLabel("Name of the board");
  await field.fill("😀".repeat(200));
  expect(await ada.page.getByText("At most 200 characters").count()).toBe(0);
  await field.press("End");
  await field.press("x");
  await ada.page.getByText("At most 200 characters").waitFor();
  expect(await field.inputValue()).toBe("😀".repeat(200));
  await field.press("Enter");
  await ada.page.getByRole("button", { name: "😀".repeat(200) }).waitFor();
});

test("what is said in the chat is marked as unread, read, and there for who comes later", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await bob.page.getByRole("button", { name: "Chat", exact: true }).click();
  await bob.page.getByLabel("Message", { exact: true }).fill("Hello <b>Ada</b>");
  await bob.page.keyboard.press("Enter");
  const unread = ada.page.getByRole("button", { name: "Chat, 1 unread" });
  await unread.click();
  const messages = ada.page.getByRole("log", { name: "Messages" });
  await messages.getByText("Hello <b>Ada</b>", { exact: true }).waitFor();
  await messages.getByText("Bob").waitFor();
  await ada.page.getByRole("button", { name: "Chat", exact: true }).waitFor();

  await bob.page.getByLabel("Message", { exact: true }).pressSequentially("r"); // and not the tool
  await ada.page.getByText("Bob is typing…").waitFor();
  await ada.page.getByLabel("Message", { exact: true }).fill("Hello Bob");
  await ada.page.keyboard.press("Enter");
  await bob.page.getByRole("log").getByText("Hello Bob").waitFor();

  const cy = await stage.person("Cy");
  await cy.page.getByRole("button", { name: /^Chat/ }).click();
  await cy.page.getByRole("log").getByText("Hello Bob").waitFor();
  expect(await cy.page.getByRole("log").getByRole("article").count()).toBe(2);
});

test("a message that was written offline is sent once", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await ada.page.getByRole("button", { name: "Chat", exact: true }).click();
  ada.network.down();
  await ada.page.getByLabel("Message", { exact: true }).fill("From afar");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByText("Sending…").waitFor();
  ada.network.up();
  await bob.page.getByRole("button", { name: "Chat, 1 unread" }).click();
  await bob.page.getByRole("log").getByText("From afar").waitFor();
  await ada.page.getByText("Sending…").waitFor({ state: "detached" });
  expect(await ada.page.getByRole("article").count()).toBe(1);
});

test("a page says where the changes are: saving, saved, offline", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  const says = (text: string) => ada.page.locator(".save-state").getByText(text, { exact: true }).waitFor();
  await says("Saved");
  ada.network.hold();
  await ada.draw("r", [100, 100], [300, 200]);
  await says("Saving…");
  ada.network.up();
  await says("Saved");
  ada.network.down();
  await says("Offline");
  await ada.draw("r", [100, 300], [300, 400]);
  await says("Offline: 1 change kept on this device");
  ada.network.up();
  await says("Saved");
});

test("while the database cannot be written to a page says so, and the changes are saved afterwards", async () => {
  const stage = await Stage.open(browser(), "--attempt-timeout", "200ms", "--commit-timeout", "400ms");
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const banner = (person: Person) => person.page.getByRole("alert").getByText("Changes cannot be stored at the moment.");
  const release = await hold(stage.server.database);
  await ada.draw("r", [100, 100], [300, 200]);
  await Promise.all([banner(ada).waitFor(), banner(bob).waitFor()]);
  await ada.page.getByText("Not saved: 1 change kept on this device").waitFor();
  await bob.sees(({ elements }) => elements.length === 0); // when the ghost has gone
  await ada.point([150, 150]);
  await bob.page.waitForFunction(() => // cursors go on
    [...window.collaboard!.api.getAppState().collaborators.values()].some((c) => c.pointer !== undefined && Math.abs(c.pointer.x - 150) < 1));
  await release();
  await Promise.all([banner(ada).waitFor({ state: "detached" }), banner(bob).waitFor({ state: "detached" })]);
  const scene = await stage.converged();
  expect(scene).toHaveLength(1);
});

test("who is there is seen, and who has left is not", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada Lovelace"), await stage.person("Bob")];
  await bob.page.getByRole("button", { name: "Follow Ada Lovelace" }).waitFor();
  await ada.page.getByRole("button", { name: "Follow Bob" }).waitFor();
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await bob.page.getByRole("button", { name: "Follow Ada Lovelace" }).waitFor({ state: "detached" });
});

test("who follows another sees what that one sees, until they move themselves", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const centre = (person: Person): Promise<Point> => person.page.evaluate(() => {
    const { scrollX, scrollY, zoom, width, height } = window.collaboard!.api.getAppState();
    return [Math.round(width / 2 / zoom.value - scrollX), Math.round(height / 2 / zoom.value - scrollY)] as const;
  });
  const near = async () => {
    const [[ax, ay], [bx, by]] = await Promise.all([centre(ada), centre(bob)]);
    return Math.hypot(ax - bx, ay - by) < 5;
  };
  await ada.page.getByRole("button", { name: "Follow Bob" }).click();
  const following = ada.page.getByRole("status").getByText("Following Bob");
  await following.waitFor();
  await bob.point([300, 300]);
  await bob.page.mouse.wheel(700, 900);
  await expect.poll(near).toBe(true);
  await bob.page.keyboard.down("Control");
  await bob.page.mouse.wheel(0, 300);
  await bob.page.keyboard.up("Control");
  await expect.poll(near).toBe(true);
  const there = await centre(ada);

  await ada.point(there);
  await ada.page.mouse.wheel(0, 400);
  await following.waitFor({ state: "detached" });
  const own = await centre(ada);
  await bob.page.mouse.wheel(-500, -500);
  const [x, y] = await centre(bob);
  await bob.draw("r", [x, y], [x + 100, y + 100]);
  await ada.sees(({ elements }) => elements.length === 1);
  expect(await centre(ada)).toEqual(own);
});

test("who has a board open twice is there once, and is followed to the tab that they are at", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const first = bob.page;
  const second = await bob.context.newPage();
  await second.goto(first.url());
  await ada.page.waitForFunction(() => window.collaboard!.board.members.length === 3);
  const faces = ada.page.getByRole("group", { name: "On this board: 2" });
  expect(await faces.getByRole("button").count()).toBe(1);
  await faces.getByRole("button", { name: "Follow Bob" }).click();
  const at = () => ada.page.evaluate(() => window.collaboard!.api.getAppState().userToFollow?.socketId);
  for (const page of [first, second, first]) {
    await page.bringToFront();
    const id = await page.evaluate(() => window.collaboard!.client.connectionId);
    await expect.poll(async () => {
      await page.mouse.move(300 + 100 * Math.random(), 300);
      return at();
    }).toBe(id);
  }
  await first.close();
  const rest = await second.evaluate(() => window.collaboard!.client.connectionId);
  await expect.poll(at).toBe(rest);
  await ada.page.getByRole("status").getByText("Following Bob").waitFor();
  await second.close();
  await ada.page.getByRole("status").getByText("Following Bob").waitFor({ state: "detached" });
});

test("a phone shows all of the page, and draws", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const bob = await stage.person("Bob");
  const wide = (person: Person) => person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(await wide(ada)).toBeLessThanOrEqual(0);
  for (const name of [/^Chat/, "Menu", "Follow Bob"]) {
    const box = await ada.page.getByRole("button", { name, exact: typeof name === "string" }).boundingBox();
    expect(box!.x + box!.width, String(name)).toBeLessThanOrEqual(390);
  }
  await ada.draw("r", [-100, 200], [0, 300]); // (0, 0) is at (200, 30) of the window
  await bob.sees(({ elements }) => elements.some((e) => e.type === "rectangle" && e.width === 100));
  await ada.page.getByRole("button", { name: /^Chat/ }).click();
  await ada.page.getByLabel("Message", { exact: true }).waitFor();
  expect(await wide(ada)).toBeLessThanOrEqual(0);
  await ada.page.getByRole("button", { name: "Close chat" }).click();
  await stage.converged();
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await ada.page.getByRole("link", { name: "A board" }).waitFor();
  expect(await wide(ada)).toBeLessThanOrEqual(0);
});

test("a board is not left while it has changes that there is no room to keep", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.visitor("Ada");
  await ada.visit("/");
  await ada.page.getByRole("link", { name: "A board" }).click();
  await ada.live();
  await ada.page.evaluate(() => {
    const { board } = window.collaboard!;
    board.submit = () => {
      throw new Error("the outbox is full");
    };
  });
  await ada.draw("r", [400, 300], [500, 400]);
  const told = ada.page.getByText("Stay on this board, or the last ones are lost.");
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await told.waitFor();
  await ada.page.getByRole("alert").getByRole("button", { name: "Dismiss" }).last().click();
  await ada.page.goBack();
  await told.waitFor();
  expect(new URL(ada.page.url()).pathname).toBe(`/b/${stage.board}`);
  await ada.page.evaluate(() => void delete (window.collaboard!.board as { submit?: unknown }).submit);
  await ada.saved();
  await ada.page.getByRole("link", { name: "All boards" }).click();
  await ada.page.getByRole("heading", { name: "Boards" }).waitFor();
  await stage.program.flush();
  expect(await stage.snapshot()).toHaveLength(1);
});
