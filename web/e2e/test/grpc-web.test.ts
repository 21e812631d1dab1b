import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";

import { numbers } from "../../sdk/test/events.ts";
import { Server } from "../../sdk/test/server.ts";
import { launch } from "../browser.ts";
import type {} from "../client/main.ts";
import { Site } from "../site.ts";

let browser: Browser;
let site: Site;
let server: Server;
let page: Page;

beforeAll(async () => {
  [browser, site] = await Promise.all([launch(), Site.start(inject("clientPage"))]);
  server = new Server(["--allowed-origin", site.origin]);
});

beforeEach(async () => {
  await server.start();
  page = await browser.newPage();
  await page.goto(site.origin);
});

afterEach(async () => {
  await page.close();
  await server.stop("SIGKILL");
});

afterAll(async () => {
  await browser.close();
  site.close();
  await server.remove();
});

describe.each(["stock", "sdk"] as const)("the %s client of gRPC-Web, in a browser", (driver) => {
  const target = (metadata: Record<string, string> = {}) => ({ driver, to: { url: server.url, metadata } });

  test("sends 1,000 frames in order, hears its events and acks, and ends with a half-close", async () => {
    const got = await page.evaluate(({ driver, to }) => window.scenario.upload(window.drivers[driver], to, 1000),
      target({ "user-id": "ada" }));
    expect(got.end).toEqual({ code: 0, message: "" });
    expect(got.log).toEqual(numbers(1000));
    expect(got.from).toBe("ada");
    expect(got.seqs).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
    const events = got.came.flatMap((c) => ("event" in c ? [c.event] : []));
    const acks = got.came.flatMap((c) => ("ack" in c ? [c.ack] : []));
    expect(events).toEqual(numbers(1000));
    expect(acks).toEqual(numbers(1000));
    expect(got.came.findIndex((c) => "ack" in c)).toBeLessThan(got.came.map((c) => "event" in c).lastIndexOf(true));
  });

  test("cancels, and is gone from the board", async () => {
    const got = await page.evaluate(({ driver, to }) => window.scenario.cancel(window.drivers[driver], to), target());
    expect(got.gone).toMatch(/^[0-9a-f-]{36}$/);
    expect(got.left).toBe(got.gone);
  });

  test("hears UNAVAILABLE from a server that is stopped", async () => {
    let joined!: () => void;
    const joining = new Promise<void>((resolve) => (joined = resolve));
    await page.exposeFunction("joined", joined);
    const ended = page.evaluate(({ driver, to }) =>
      window.scenario.stay(window.drivers[driver], to, (window as unknown as { joined(): void }).joined), target());
    await joining;
    await server.stop("SIGTERM");
    expect(await ended).toEqual({ code: 14, message: expect.stringContaining("shutting down") });
  });

  test("hears why its metadata are refused", async () => {
    const got = await page.evaluate(({ driver, to }) => window.scenario.refused(window.drivers[driver], to),
      target({ "user-id": "a".repeat(129) }));
    expect(got).toEqual({ code: 3, message: expect.stringContaining("user-id") });
  });

  test("hears of a board that is not there, from a unary and from a streaming call", async () => {
    const got = await page.evaluate(({ driver, to }) => window.scenario.missing(window.drivers[driver], to), target());
    expect(got.unary).toEqual({ code: 5, message: expect.stringContaining("board") });
    expect(got.streaming).toEqual({ code: 5, message: expect.stringContaining("board") });
  });
});
