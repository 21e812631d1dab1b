import { expect, test } from "vitest";

import { BoardService, newID } from "@collaboard/sdk";
import type { Person } from "../person.ts";
import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

/** Draws the nth of many rectangles. */
async function drawNth(person: Person, n: number): Promise<void> {
  const [x, y] = [300 + 80 * (n % 8), 100 + 80 * Math.floor(n / 8)];
  await person.draw("r", [x, y], [x + 40 + n, y + 50]); // n is its width less 40
}

const widths = (elements: readonly { width: number }[]) => elements.map((e) => e.width - 40).sort((a, b) => a - b);

/** The ids of the objects that were created, as often as the log says so. */
async function created(stage: Stage): Promise<string[]> {
  const log = await stage.program.callAll(BoardService.method.readLog, { boardId: stage.board });
  return log.flatMap(({ payload }) => {
    const ops = payload.case === "objectBatch" ? payload.value.ops.map(({ op }) => op) : [];
    const creates = ops.flatMap((op) => (op.case === "create" ? [op.value] : []));
    return [...creates, ...(payload.case === "objectCreate" ? [payload.value] : [])].map((create) => create.object!.id);
  });
}

async function expectOnce(stage: Stage): Promise<void> {
  const ids = await created(stage);
  expect(ids).toEqual([...new Set(ids)]);
}

test("a server that is killed and started again while people draw has all that was saved, and gets the rest once", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  for (let n = 0; n < 4; n++) {
    await drawNth(ada, n);
  }
  await ada.saved();
  const saved = widths(await ada.elements());
  expect(saved).toEqual([0, 1, 2, 3]);
  for (let n = 4; n < 16; n++) {
    if (n === 8) {
      await stage.server.stop("SIGKILL"); // between the gesture and its ack, or before both
    }
    if (n === 12) {
      await stage.server.start();
    }
    await drawNth(ada, n);
  }
  await ada.live();
  await bob.live();
  const scene = await stage.converged();
  expect(widths(scene as unknown as { width: number }[])).toEqual(Array.from({ length: 16 }, (_, n) => n));
  await expectOnce(stage);
});

test("what is saved survives a kill at that very moment", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada");
  for (let n = 0; n < 3; n++) {
    await drawNth(ada, n);
    await ada.page.waitForFunction(() => window.collaboard!.client.state.saving === "saved"
      && window.collaboard!.board.replica!.stack().filter((object) => !object.deleted).length === window.collaboard!.api.getSceneElements().length);
    await stage.server.stop("SIGKILL");
    await stage.server.start();
    expect(await stage.snapshot()).toHaveLength(n + 1);
    await ada.live();
  }
  await stage.converged();
});

test("changes that were made offline are kept, and arrive once", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  ada.network.down();
  await ada.page.locator(".save-state").getByText("Offline", { exact: true }).waitFor();
  await ada.context.setOffline(true); // last: set first, the page once did not show it within 15 s
  for (let n = 0; n < 3; n++) {
    await drawNth(ada, n);
  }
  await ada.page.getByText("Offline: 3 changes kept on this device").waitFor();
  await drawNth(bob, 3);
  ada.network.up();
  await ada.context.setOffline(false);
  await bob.sees(({ elements }) => elements.length === 4);
  await stage.converged();
  await expectOnce(stage);
});

test("a tab that is closed with changes that were not sent sends them when it is opened again", async () => {
  const stage = await Stage.open(browser());
  const bob = await stage.person("Bob");
  const device = await stage.device();
  const ada = await stage.person("Ada", device);
  device.network.down();
  for (let n = 0; n < 3; n++) {
    await drawNth(ada, n);
  }
  await ada.page.getByText("Offline: 3 changes kept on this device").waitFor();
  await ada.context.close();
  device.network.up();
  const again = await stage.person("Ada", device);
  await bob.sees(({ elements }) => elements.length === 3);
  const scene = await stage.converged(again, bob);
  expect(widths(scene as unknown as { width: number }[])).toEqual([0, 1, 2]);
  await expectOnce(stage);
});

test("a page that slept for longer than the server remembers catches up, and keeps its own changes", async () => {
  const stage = await Stage.open(browser(), "--tail-bytes", "4KiB");
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  await drawNth(ada, 0);
  await stage.converged();
  ada.network.down();
  await drawNth(ada, 1);
  for (let n = 0; n < 200; n++) {
    stage.program.submit(stage.board, { case: "objectCreate", value: { object: {
      id: newID(), kind: "rectangle", x: 300 + n, y: 500 + n % 10, width: 20, height: 20,
    } } });
  }
  await stage.program.flush();
  await drawNth(bob, 2);
  await bob.saved();
  ada.network.up();
  await ada.sees(({ elements }) => elements.length === 203);
  const scene = await stage.converged();
  expect(scene).toHaveLength(203);
  await expectOnce(stage);
});

test("what was kept is found again by a browser that has forgotten who its user is", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.visitor("Ada", { newcomer: true });
  const { page } = ada;
  const arrive = async () => {
    await ada.visit(`/b/${stage.board}`);
    await page.getByLabel("Display name").fill("Ada");
    await page.getByRole("button", { name: "Continue" }).click();
    await ada.live();
  };
  await arrive();
  const user = await page.evaluate(() => localStorage["collaboard.user"] as string);
  ada.network.down();
  await drawNth(ada, 0);
  await page.getByText("Offline: 1 change kept on this device").waitFor();
  await page.evaluate(() => localStorage.clear()); // as where it is killed before it has written that
  await page.goto("about:blank");
  ada.network.up();
  await arrive();
  await ada.sees(({ elements }) => elements.length === 1); // as soon as the browser has let go of the page before
  await ada.saved();
  expect(await page.evaluate(() => localStorage["collaboard.user"] as string)).toBe(user);
  expect(await stage.converged(ada)).toHaveLength(1);
  await expectOnce(stage);
});
