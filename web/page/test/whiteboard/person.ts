import type { ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { AppState } from "@excalidraw/excalidraw/types";

import type { Unsaved } from "@collaboard/sdk";

import { defaultLimits, type Limits } from "../../src/whiteboard/batches.js";
import { Engine, type Scene } from "../../src/whiteboard/engine.js";
import { normalise } from "../../src/whiteboard/normalise.js";
import { element } from "./elements.js";
import type { Log, LogBoard } from "./log.js";

/** What the engine looks at of Excalidraw's state. */
type State = Pick<AppState,
  | "newElement" | "multiElement" | "resizingElement" | "isResizing" | "isRotating" | "selectedElementsAreBeingDragged"
  | "selectedElementIds" | "editingTextElement" | "editingLinearElement" | "croppingElementId" | "pendingImageElementId"
  | "isLoading">;

/** Somebody at a board: an engine and, in the place of Excalidraw, a scene that behaves as its does. */
export class Person implements Scene {
  readonly board: LogBoard;
  readonly engine: Engine;
  readonly errors: string[] = [];
  readonly saving: boolean[] = [];
  limits: Limits = defaultLimits;
  paints = 0;
  shows = 0;
  now = 0;
  list: ExcalidrawElement[] = [];
  view: State = {
    newElement: null, multiElement: null, resizingElement: null, isResizing: false, isRotating: false,
    selectedElementsAreBeingDragged: false, selectedElementIds: {}, editingTextElement: null, editingLinearElement: null,
    croppingElementId: null, pendingImageElementId: null, isLoading: false,
  };
  #frame: (() => void) | undefined;
  #timers: { at: number; run: () => void }[] = [];
  #nonce = 1;

  constructor(log: Log, name: string, left: Unsaved[] = []) {
    this.board = log.join(name, left);
    this.engine = new Engine(this.board, this, {
      frame: (callback) => {
        this.#frame = callback;
        return () => (this.#frame = undefined);
      },
      later: (ms, run) => {
        const timer = { at: this.now + ms, run };
        this.#timers.push(timer);
        return () => void (this.#timers = this.#timers.filter((t) => t !== timer));
      },
      now: () => this.now,
      limits: () => this.limits,
      unsent: (unsent) => this.saving.push(unsent),
      error: (message) => this.errors.push(message),
    });
    this.paint();
  }

  elements(): readonly ExcalidrawElement[] {
    return this.list;
  }

  state(): AppState {
    return this.view as AppState;
  }

  /** Excalidraw makes indices unique and ascending by changing them in place. */
  show(elements: readonly OrderedExcalidrawElement[]): void {
    this.shows++;
    this.list = [...elements];
    let last = "";
    for (const e of this.list) {
      if (e.index === null || e.index <= last) {
        if ("inOrder" in elements) {
          throw new Error("a scene that says it is in order is not");
        }
        this.mutate(e, { index: `${last}V` });
      }
      last = e.index!;
    }
  }

  /** The browser paints: everything that was scheduled is done. */
  paint(): void {
    for (let frame = this.#frame; frame !== undefined; frame = this.#frame) {
      this.#frame = undefined;
      this.paints++;
      frame();
    }
  }

  /** Time passes, with a paint whenever a timer ends. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) {
        break;
      }
      this.#timers = this.#timers.filter((t) => t !== next);
      this.now = Math.max(this.now, next.at);
      next.run();
      this.paint();
    }
    this.now = end;
    this.engine.changed();
    this.paint();
  }

  get(id: string): ExcalidrawElement & Record<string, unknown> {
    const found = this.list.find((e) => e.id === id);
    if (found === undefined) {
      throw new Error(`no element ${id}`);
    }
    return found as ExcalidrawElement & Record<string, unknown>;
  }

  /** The ids of what is seen, from the bottom to the top. */
  stack(): string[] {
    return this.list.filter((e) => !e.isDeleted).map((e) => e.id);
  }

  seen() {
    return normalise(this.list);
  }

  /** Changes an element in place, as Excalidraw does. */
  mutate(of: ExcalidrawElement | string, change: Record<string, unknown>): void {
    const e = typeof of === "string" ? this.get(of) : of;
    Object.assign(e, change, { version: e.version + 1, versionNonce: -++this.#nonce });
  }

  /** Changes an element at one go, and Excalidraw says so. */
  edit(id: string, change: Record<string, unknown>): void {
    this.mutate(id, change);
    this.change();
  }

  add(...elements: ExcalidrawElement[]): void {
    this.list = [...this.list, ...elements];
    this.change();
  }

  draw(id: string, fields: Record<string, unknown> = {}): void {
    this.add(element("rectangle", { id, index: `a${this.list.length}`, ...fields }));
  }

  /** Excalidraw's onChange, with no gesture under way: what has changed is submitted. */
  change(): void {
    this.now += 1000;
    this.engine.changed();
    this.paint();
  }

  /** The pointer goes down on elements, and moves them until release(). */
  drag(ids: string[], change: Record<string, unknown>): void {
    this.engine.pressed(true);
    this.view = {
      ...this.view, selectedElementsAreBeingDragged: true,
      selectedElementIds: Object.fromEntries(ids.map((id) => [id, true as const])),
    };
    ids.forEach((id) => this.mutate(id, change));
    this.now += 60;
    this.engine.changed();
    this.paint();
  }

  release(): void {
    this.view = { ...this.view, selectedElementsAreBeingDragged: false, newElement: null, resizingElement: null };
    this.engine.pressed(false);
    this.engine.changed();
    this.paint();
  }
}
