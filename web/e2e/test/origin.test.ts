import { expect, test } from "vitest";

import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

test("nothing that the page does leaves its origin", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.visitor("Ada");
  await ada.context.addInitScript(() => { // what is saved is downloaded, and no dialog of the system's is opened
    delete (window as { showOpenFilePicker?: unknown }).showOpenFilePicker;
  });
  await ada.open(stage.board);
  const { page } = ada;
  await ada.draw("r", [100, 100], [300, 200]);
  for (const [n, family] of ["Hand-drawn", "Normal", "Code"].entries()) { // each loads its font
    await ada.key("t");
    await ada.click([350, 100 + 60 * n]);
    await page.keyboard.type("Text");
    await ada.key("Escape");
    await page.getByTitle(family, { exact: true }).click();
  }
  await page.keyboard.press("Escape");
  await page.getByTitle("Library").first().click();
  await page.locator(".layer-ui__library").waitFor();
  await page.getByTestId("sidebar-close").click();

  await page.keyboard.press("Control+Shift+e");
  await page.locator(".ImageExportModal canvas").waitFor();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export to SVG" }).click();
  await saved;
  await page.locator(".Modal__content").press("Escape");
  await page.locator(".Modal").waitFor({ state: "detached" });
  await page.keyboard.press("?");
  await page.locator(".HelpDialog").first().waitFor();
  await page.locator(".Modal__content").press("Escape");
  await page.locator(".Modal").waitFor({ state: "detached" });
  await ada.saved();
  await page.getByRole("link", { name: "All boards" }).click();
  await page.locator(".card-picture img").waitFor(); // a board's picture

  const origin = new URL(ada.network.url);
  const hosts = new Set(ada.requests.map((request) => new URL(request)).filter(({ protocol }) => !/^(data|blob):$/.test(protocol)).map(({ host }) => host));
  expect([...hosts]).toEqual([origin.host]);
  expect(ada.requests.filter((request) => request.endsWith(".woff2")).length).toBeGreaterThan(2);
});
