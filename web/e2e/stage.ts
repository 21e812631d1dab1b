import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";

import { BoardService, Client, newID } from "@collaboard/sdk";
import { normalise } from "../page/src/whiteboard/normalise.ts";
import { elementOf } from "../page/src/whiteboard/fields.ts";
import { fieldsOfObject } from "../page/src/whiteboard/mapping.ts";
import { Network } from "../sdk/test/network.ts";
import { Server } from "../sdk/test/server.ts";
import { PageSocket } from "../sdk/test/socket.ts";
import { launch } from "./browser.ts";
import { Person, type PersonOptions } from "./person.ts";

/** One browser for the tests of a file. */
export function useBrowser(): () => Browser {
  let browser: Browser;
  beforeAll(async () => void (browser = await launch()));
  afterAll(() => browser.close());
  return () => browser;
}

/** A server of a test's own, the people before its page, and a program that watches a board. */
export class Stage {
  readonly people: Person[] = [];

  private constructor(readonly browser: Browser, readonly server: Server, readonly program: Client, readonly board: string) {}

  /** flags are the server's. Everything ends with the test. */
  static async open(browser: Browser, ...flags: string[]): Promise<Stage> {
    const server = new Server(flags);
    onTestFinished(() => server.remove());
    await server.start();
    const program = newProgram(server);
    onTestFinished(() => program.close());
    const { id } = await program.call(BoardService.method.createBoard, { name: "A board" });
    return new Stage(browser, server, program, id);
  }

  /** Somebody before an empty page. */
  async visitor(name: string, options: PersonOptions = {}): Promise<Person> {
    const person = await Person.arrive(this.browser, this.server, name, options);
    onTestFinished(() => person.leave());
    return person;
  }

  /** Somebody at the board. */
  async person(name: string, options: PersonOptions = {}): Promise<Person> {
    const person = await this.visitor(name, options);
    this.people.push(person);
    await person.open(this.board);
    return person;
  }

  /** A user with a browser's profile and an address of the server: who comes back to all of them has the same storage. */
  async device(): Promise<{ id: string; profile: string; network: Network }> {
    const profile = mkdtempSync(join(tmpdir(), "collaboard-profile-"));
    onTestFinished(() => rmSync(profile, { recursive: true, force: true }));
    const network = await Network.start(() => this.server.port);
    onTestFinished(() => network.close());
    return { id: newID(), profile, network };
  }

  /** What the server has, as a scene. */
  async snapshot() {
    const watcher = newProgram(this.server);
    try {
      const board = watcher.join(this.board);
      await board.joined;
      return normalise([...board.replica!.stack()].map((object) => elementOf(fieldsOfObject(object), undefined)));
    } finally {
      await watcher.close();
    }
  }

  /** Waits until everybody's changes are saved, and everybody sees what the server has. Returns that. */
  async converged(...people: Person[]) {
    const all = people.length > 0 ? people : this.people;
    await Promise.all(all.map((person) => person.saved()));
    const want = await this.snapshot();
    for (const person of all) {
      await expect.poll(async () => text(await person.scene()), { timeout: 10_000, message: `what ${person.name} sees` })
        .toBe(text(want));
    }
    return want;
  }
}

function newProgram(server: Server): Client {
  return new Client({ url: server.url, webSocket: PageSocket, storage: false, userId: "program" });
}

/** Line by line, for a readable difference. */
export function text(scene: readonly object[]): string {
  return scene.map((element) => JSON.stringify(element)).join("\n");
}
