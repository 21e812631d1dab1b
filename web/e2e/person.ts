import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

import { newID, type BoardObject } from "@collaboard/sdk";
import { normalise } from "../page/src/whiteboard/normalise.ts";
import type {} from "../page/src/whiteboard/Whiteboard.tsx";
import { Network } from "../sdk/test/network.ts";
import type { Server } from "../sdk/test/server.ts";
import { args, executablePath } from "./browser.ts";

export interface PersonOptions extends BrowserContextOptions {
  /** Who it is: somebody new where it is left out. */
  id?: string;
  /** A directory for a browser of its own, which a later one can go on with. */
  profile?: string;
  /** The way to the server, to go on with. */
  network?: Network;
  /** Who was here before has told the page a name. */
  newcomer?: boolean;
}

/** A point of the scene. */
export type Point = readonly [x: number, y: number];

/** One user in a browser context of their own, with a network of their own. */
export class Person {
  /** What went wrong on the page that nobody handled. */
  readonly errors: string[] = [];
  /** The addresses of everything that the page asked for. */
  readonly requests: string[] = [];

  private constructor(
    readonly name: string, readonly id: string, readonly context: BrowserContext, readonly page: Page, readonly network: Network,
  ) {
    page.on("pageerror", (error) => this.errors.push(error.stack ?? error.message));
    page.on("console", (message) => {
      if (/Content Security Policy/.test(message.text())) {
        this.errors.push(message.text());
      }
    });
    context.on("request", (request) => this.requests.push(request.url()));
    page.on("websocket", (socket) => this.requests.push(socket.url()));
  }

  static async arrive(browser: Browser, server: Server, name: string, options: PersonOptions): Promise<Person> {
    const { id = newID(), profile, network, newcomer = false, ...rest } = options;
    const context = profile === undefined ? await browser.newContext(rest)
      : await chromium.launchPersistentContext(profile, { executablePath, args, ...rest });
    if (!newcomer) {
      await context.addInitScript((user) => {
        localStorage["collaboard.user"] ??= user;
      }, JSON.stringify({ id, name }));
    }
    context.setDefaultTimeout(15_000);
    const page = context.pages()[0] ?? await context.newPage();
    return new Person(name, id, context, page, network ?? await Network.start(() => server.port));
  }

  /** Leaves for good. Throws where something had gone wrong on the page. */
  async leave(): Promise<void> {
    await this.context.close();
    this.network.close();
    if (this.errors.length > 0) {
      throw new Error(`errors on the page of ${this.name}:\n${this.errors.join("\n")}`);
    }
  }

  /** Goes to a page of the server. */
  async visit(path: string): Promise<void> {
    await this.page.goto(this.network.url + path);
  }

  /** Opens a board, waits until it is there, and moves its origin out from under the panels. */
  async open(board: string): Promise<void> {
    await this.visit(`/b/${board}`);
    await this.live();
    await this.page.waitForFunction(() => window.collaboard!.api.getAppState().isLoading === false);
    await this.painted(); // the page scrolls to what is on the board when it shows that for the first time
    await this.page.evaluate(() => window.collaboard!.api.updateScene({ appState: { scrollX: 200, scrollY: 30 } }));
  }

  async live(): Promise<void> {
    await this.page.waitForFunction(() => window.collaboard?.board.status.live === true);
  }

  /** The elements that are seen, as Excalidraw has them. */
  elements(): Promise<ExcalidrawElement[]> {
    return this.page.evaluate(() => [...window.collaboard!.api.getSceneElements()]);
  }

  async scene() {
    return normalise(await this.elements());
  }

  /** Waits until what is seen is wanted. wanted runs in the page, and knows nothing else. */
  async sees(wanted: (seen: { readonly elements: readonly ExcalidrawElement[] }) => boolean): Promise<void> {
    const seen = await this.page.evaluateHandle(() => ({
      get elements() {
        return window.collaboard?.api.getSceneElements() ?? [];
      },
    }));
    await this.page.waitForFunction(wanted, seen as unknown as { elements: ExcalidrawElement[] });
  }

  /** Waits until the page knows the log as wanted, and had the time to show that. wanted runs in the page, as that of sees. */
  async knows(wanted: (known: { readonly stack: readonly BoardObject[] }) => boolean): Promise<void> {
    const known = await this.page.evaluateHandle(() => ({
      get stack() {
        return window.collaboard?.board.replica?.stack() ?? [];
      },
    }));
    await this.page.waitForFunction(wanted, known as unknown as { stack: BoardObject[] });
    await this.painted();
  }

  /** Waits until the page has shown all that it knew when this was called. */
  async painted(): Promise<void> {
    await this.page.evaluate(() => new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown))));
  }

  /** Waits until the page says that everything is saved. */
  async saved(): Promise<void> {
    await this.page.waitForFunction(() => {
      const state = document.querySelector(".save-state");
      return state?.textContent?.trim() === "Saved" && window.collaboard?.client.state.saving === "saved";
    }).catch(async (error: unknown) => {
      const now = await this.page.evaluate(() => {
        const { activeTool, newElement, multiElement, editingTextElement, resizingElement } = window.collaboard!.api.getAppState();
        return {
          text: document.querySelector(".save-state")?.textContent, client: window.collaboard!.client.state,
          board: window.collaboard!.board.status, activeTool, newElement, multiElement, editingTextElement, resizingElement,
        };
      });
      throw new Error(`the page of ${this.name} does not say that all is saved: ${JSON.stringify(now)}`, { cause: error });
    });
  }

  /** Where a point of the scene is in the window. */
  at([x, y]: Point): Promise<Point> {
    return this.page.evaluate(([x, y]) => {
      const { scrollX, scrollY, zoom, offsetLeft, offsetTop } = window.collaboard!.api.getAppState();
      return [(x + scrollX) * zoom.value + offsetLeft, (y + scrollY) * zoom.value + offsetTop] as const;
    }, [x, y] as const);
  }

  async point(to: Point): Promise<void> {
    await this.page.mouse.move(...await this.at(to));
  }

  async click(at: Point): Promise<void> {
    await this.page.mouse.click(...await this.at(at));
  }

  /** Presses the mouse's button, and moves it along the points. It stays pressed. */
  async press(...path: Point[]): Promise<void> {
    const [first, ...others] = await Promise.all(path.map((point) => this.at(point)));
    await this.page.mouse.move(...first!);
    await this.page.mouse.down();
    for (const point of others) {
      await this.page.mouse.move(...point, { steps: 4 });
    }
  }

  /** Drags the mouse along the points. */
  async drag(...path: Point[]): Promise<void> {
    await this.press(...path);
    await this.page.mouse.up();
  }

  /** Draws with the tool that a key stands for: r rectangle, d diamond, o ellipse, a arrow, l line, p pencil. */
  async draw(key: string, ...path: Point[]): Promise<void> {
    await this.key(key);
    await this.drag(...path);
  }

  async key(key: string): Promise<void> {
    await this.page.keyboard.press(key);
  }

  /** Chooses a colour of the panel for what is selected: one of its first five. */
  async recolour(colour: string): Promise<void> {
    await this.page.getByTestId(`color-top-pick-${colour}`).click();
  }

  /** Drops a file on the canvas. */
  async drop(content: string, name: string, type: string): Promise<void> {
    const dataTransfer = await this.page.evaluateHandle(({ content, name, type }) => {
      const data = new DataTransfer();
      data.items.add(new File([content], name, { type }));
      return data;
    }, { content, name, type });
    await this.page.locator("canvas.interactive").dispatchEvent("drop", { dataTransfer });
  }

  async undo(): Promise<void> {
    await this.key("Control+z");
  }

  async redo(): Promise<void> {
    await this.key("Control+Shift+z");
  }
}
