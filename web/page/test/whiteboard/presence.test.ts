import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppState } from "@excalidraw/excalidraw/types";

import { colorOf } from "../../src/whiteboard/color.js";
import { objectID } from "../../src/whiteboard/names.js";
import { Presence } from "../../src/whiteboard/presence.js";
import { Log, type LogBoard } from "./log.js";

function presenceOf(board: LogBoard, gestures: string[] = []): Presence {
  return new Presence(board, {
    connectionID: () => board.connectionID, changed: () => {}, gestures: () => new Set(gestures),
  });
}

const state = (change: Partial<AppState>) => ({
  selectedElementIds: {}, scrollX: 0, scrollY: 0, zoom: { value: 1 }, width: 1000, height: 500, userToFollow: null, ...change,
}) as AppState;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup() {
  const log = new Log();
  const [ada, bob] = [log.join("ada"), log.join("bob")];
  const presences = [presenceOf(ada), presenceOf(bob, ["ada"])] as const;
  return { log, ada, bob, presences };
}

describe("others", () => {
  test("are seen with their pointers, and nobody sees himself", () => {
    const { presences: [ada, bob] } = setup();
    ada.point({ x: 3, y: 4, tool: "laser" }, "down");
    vi.advanceTimersByTime(50);
    const seen = bob.take()!;
    expect([...seen.keys()]).toEqual(["ada"]);
    expect([...seen.values()][0]).toMatchObject({
      username: "ada", pointer: { x: 3, y: 4, tool: "laser" }, button: "down", color: { background: colorOf("ada") },
    });
    expect(bob.take()).toBeUndefined(); // until something changes
  });

  test("have one colour in all their tabs, and are followed by the tab", () => {
    const { log, ada: { members: [ada] }, presences: [, bob] } = setup();
    log.join("ada", [], "ada's second tab");
    const seen = [...bob.take()!.values()];
    expect(seen.map((c) => c.socketId)).toEqual(["ada", "ada's second tab"]);
    expect(seen.map((c) => c.id)).toEqual(["ada", "ada"]);
    expect(seen.map((c) => c.color?.background)).toEqual([colorOf("ada"), colorOf({ ...ada!, connectionId: "any" })]);
  });

  test("have the pointer down while they have a gesture in flight", () => {
    const { presences: [ada, bob] } = setup();
    ada.point({ x: 3, y: 4, tool: "pointer" }, "up");
    vi.advanceTimersByTime(50);
    expect([...bob.take()!.values()][0]).toMatchObject({ button: "down", pointer: { tool: "pointer" } });
  });

  test("who leave are gone", () => {
    const { log, ada, presences: [, bob] } = setup();
    bob.take();
    log.leave(ada);
    expect([...bob.take()!.keys()]).toEqual([]);
  });

  test("select what the board has, or will have", () => {
    const { log, ada, presences: [adas, bob] } = setup();
    adas.changed(state({ selectedElementIds: { soon: true, never: true } }));
    vi.advanceTimersByTime(200);
    expect([...bob.take()!.values()][0]?.selectedElementIds).toEqual({});
    ada.submit({ case: "objectCreate", value: { object: { id: objectID("soon"), kind: "ellipse", zIndex: "a0" } } });
    void log.accept();
    expect([...bob.take()!.values()][0]?.selectedElementIds).toEqual({ [objectID("soon")]: true });
  });
});

describe("what is told", () => {
  test("of the pointer is at most thirty times a second, and the last of it", () => {
    const { ada, presences: [presence] } = setup();
    for (let i = 1; i <= 100; i++) {
      presence.point({ x: i, y: 0, tool: "pointer" }, "up");
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(100);
    const moves = ada.signals.filter((s) => s.case === "cursorMove");
    expect(moves.length).toBeGreaterThan(20);
    expect(moves.length).toBeLessThanOrEqual(31);
    expect(moves.at(-1)).toMatchObject({ value: { x: 100 } });
    expect(ada.signals.filter((s) => s.case === "customSignal")).toHaveLength(1);
  });

  test("of what is seen is in board units, at most ten times a second, and again for whoever comes", () => {
    const { log, ada, presences: [presence] } = setup();
    for (let i = 1; i <= 100; i++) {
      presence.changed(state({ scrollX: -i, zoom: { value: 2 } as AppState["zoom"] }));
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(200);
    const views = () => ada.signals.filter((s) => s.case === "viewport");
    expect(views().length).toBeLessThanOrEqual(11);
    expect(views().at(-1)).toEqual({ case: "viewport", value: { x: 100, y: -0, width: 500, height: 250, zoom: 2 } });
    const before = views().length;
    log.join("cy");
    vi.advanceTimersByTime(200);
    expect(views().length).toBe(before + 1);
  });

  test("is nothing while nobody else is there", () => {
    const board = new Log().join("ada");
    const presence = presenceOf(board);
    presence.point({ x: 1, y: 1, tool: "pointer" }, "up");
    presence.changed(state({ scrollX: 5, selectedElementIds: { a: true } }));
    presence.typing();
    vi.advanceTimersByTime(5000);
    expect(board.signals).toEqual([]);
  });

  test("whoever follows somebody leads nobody", () => {
    const { ada, presences: [presence] } = setup();
    presence.changed(state({ scrollX: 5, userToFollow: { socketId: "bob", username: "Bob" } as AppState["userToFollow"] }));
    vi.advanceTimersByTime(5000);
    expect(ada.signals.filter((s) => s.case === "viewport")).toEqual([]);
  });
});

test("what a member sees is to be shown once, and again when it changes or the member does", () => {
  const { ada, presences: [, bob] } = setup();
  const look = (x: number) => ada.signal({ case: "viewport", value: { x, y: 0, width: 10, height: 10, zoom: 1 } });
  look(1);
  expect(bob.view("ada")).toMatchObject({ x: 1 });
  expect(bob.view("ada")).toBeUndefined();
  look(2);
  expect(bob.view("ada")).toMatchObject({ x: 2 });
  expect(bob.view(undefined)).toBeUndefined();
  expect(bob.view("ada")).toMatchObject({ x: 2 });
});
