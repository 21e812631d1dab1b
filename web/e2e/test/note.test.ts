import { expect, test } from "vitest";

import { Stage, useBrowser } from "../stage.ts";

const browser = useBrowser();

test("a note is ready to be written on, by its key and by its tool", async () => {
  const stage = await Stage.open(browser());
  const [ada, bob] = [await stage.person("Ada"), await stage.person("Bob")];
  const words = async () => (await ada.elements()).flatMap((e) => (e.type === "text" ? [e.originalText] : []));
  const tool = ada.page.locator(".App-toolbar").getByRole("button", { name: "Sticky note" });
  expect(await tool.getAttribute("title")).toBe("Sticky note — N");
  await ada.key("n");
  await ada.page.keyboard.type("no, by key");
  await ada.key("Escape");
  await tool.click();
  await ada.page.keyboard.type("by tool");
  await ada.key("Escape");
  expect(await words()).toEqual(["no, by key", "by tool"]);
  expect((await ada.elements()).filter((e) => e.type === "rectangle")).toHaveLength(2);
  await bob.sees(({ elements }) => elements.filter((e) => e.type === "text").length === 2);

  await ada.page.getByRole("button", { name: "Chat", exact: true }).click();
  await ada.page.getByLabel("Message", { exact: true }).pressSequentially("n");
  expect(await ada.page.getByLabel("Message", { exact: true }).inputValue()).toBe("n");
  expect(await ada.elements()).toHaveLength(4);
  await stage.converged();
});

test("on a phone a note is among the tools at the side", async () => {
  const stage = await Stage.open(browser());
  const ada = await stage.person("Ada", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await ada.page.locator(".mobile-misc-tools-container").getByRole("button", { name: "Sticky note" }).tap();
  await ada.page.keyboard.type("by touch");
  await ada.key("Escape");
  await ada.sees(({ elements }) => elements.some((e) => e.type === "text" && e.originalText === "by touch"));
  await stage.converged();
});
