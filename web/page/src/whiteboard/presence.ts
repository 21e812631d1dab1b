import type { AppState, Collaborator, CollaboratorPointer, SocketId } from "@excalidraw/excalidraw/types";
import type { Board, Frame, Member, Viewport } from "@collaboard/sdk";

import { colorOf } from "./color.js";
import { elementID } from "./mapping.js";
import { objectID } from "./names.js";
import { Throttle } from "./throttle.js";

type PresenceBoard = Pick<Board, "members" | "replica" | "signal" | "on">;

export interface PresenceHooks {
  /** This client's, by what the server knows it. */
  connectionID(): string;
  /** Something is to be shown: take() will be asked for it. */
  changed(): void;
  /** Connections with a gesture in flight. */
  gestures(): ReadonlySet<string>;
}

/** What a pointer is, beside where it is; sent as one byte of a custom signal of this type. */
const pointerSignal = "pointer";
const laser = 1;
const down = 2;

const maxSelected = 1000;

/** Where others are and what they look at, and what this client tells them of itself. */
export class Presence {
  readonly #pointers = new Map<string, { x: number; y: number }>(); // by connection id, like all of these
  readonly #kinds = new Map<string, number>();
  readonly #selections = new Map<string, readonly string[]>(); // object ids
  readonly #viewports = new Map<string, Viewport>();
  readonly #detach: (() => void)[];
  #present = new Set<string>();
  #dirty = true;
  #awaited = false; // something is selected that is not in the log yet
  #following: string | undefined;
  #applied: Viewport | undefined; // of the member that is followed

  #pointer: { x: number; y: number } | undefined; // this client's own, like all of these
  #kind = 0;
  #sentKind: number | undefined;
  #selected: AppState["selectedElementIds"] = {};
  #viewport = "";
  #state: AppState | undefined;
  readonly #sendPointer = new Throttle(1000 / 30, () => this.#signalPointer());
  readonly #sendViewport = new Throttle(100, () => this.#signalViewport());
  readonly #sendSelection = new Throttle(100, () => this.#signalSelection());
  readonly #sendTyping = new Throttle(1000, () => this.board.signal({ case: "typing", value: {} }));

  constructor(readonly board: PresenceBoard, readonly hooks: PresenceHooks) {
    this.#detach = [
      board.on("signal", (frame) => this.#heard(frame)),
      board.on("members", (members) => this.#met(members)),
      board.on("frame", () => this.#awaited && this.redraw()),
    ];
    this.#met(board.members);
  }

  stop(): void {
    this.#detach.forEach((off) => off());
    [this.#sendPointer, this.#sendViewport, this.#sendSelection, this.#sendTyping].forEach((throttle) => throttle.stop());
  }

  /** What others see of each other: for Excalidraw, if it has changed. */
  take(): Map<SocketId, Collaborator> | undefined {
    if (!this.#dirty) {
      return undefined;
    }
    this.#dirty = this.#awaited = false;
    const gestures = this.hooks.gestures();
    return new Map(this.#others().map((member) => {
      const id = member.connectionId;
      const at = this.#pointers.get(id);
      const kind = this.#kinds.get(id) ?? 0;
      const collaborator: Collaborator = {
        username: member.displayName,
        socketId: id as SocketId,
        id: member.userId, // what Excalidraw makes the colour of
        color: { background: colorOf(member), stroke: colorOf(member) },
        button: gestures.has(id) || kind & down ? "down" : "up",
        selectedElementIds: this.#selectionOf(id),
        ...(at && { pointer: { ...at, tool: kind & laser ? "laser" : "pointer" } satisfies CollaboratorPointer }),
      };
      return [id as SocketId, collaborator];
    }));
  }

  /** What the member that is followed sees, if that has changed or the member is another. */
  view(connectionID: string | undefined): Viewport | undefined {
    const id = connectionID ?? "";
    const viewport = this.#viewports.get(id);
    if (this.#following !== connectionID || viewport !== this.#applied) {
      this.#following = connectionID;
      this.#applied = viewport;
      return viewport;
    }
    return undefined;
  }

  /** Excalidraw's onPointerUpdate. */
  point(pointer: CollaboratorPointer, button: "up" | "down"): void {
    this.#pointer = { x: pointer.x, y: pointer.y };
    this.#kind = (pointer.tool === "laser" ? laser : 0) | (button === "down" ? down : 0);
    this.#sendPointer.call();
  }

  /** Excalidraw's onChange. */
  changed(state: AppState): void {
    this.#state = state;
    if (state.selectedElementIds !== this.#selected) {
      this.#selected = state.selectedElementIds;
      this.#sendSelection.call();
    }
    const viewport = [state.scrollX, state.scrollY, state.zoom.value, state.width, state.height].join();
    if (viewport !== this.#viewport) {
      this.#viewport = viewport;
      this.#sendViewport.call();
    }
  }

  typing(): void {
    if (this.#others().length > 0) {
      this.#sendTyping.call();
    }
  }

  #others(): Member[] {
    return this.board.members.filter((m) => m.connectionId !== this.hooks.connectionID());
  }

  #selectionOf(id: string): Record<string, true> {
    const selected: Record<string, true> = {};
    for (const objectId of this.#selections.get(id) ?? []) {
      const object = this.board.replica?.object(objectId);
      if (object !== undefined) {
        selected[elementID(object)] = true;
      } else {
        this.#awaited = true;
      }
    }
    return selected;
  }

  #met(members: readonly Member[]): void {
    const before = this.#present;
    this.#present = new Set(members.map((m) => m.connectionId));
    for (const known of [this.#pointers, this.#kinds, this.#selections, this.#viewports]) {
      for (const id of [...known.keys()].filter((id) => !this.#present.has(id))) {
        known.delete(id);
      }
    }
    if ([...this.#present].some((id) => !before.has(id))) {
      this.#sentKind = undefined; // whoever has come knows nothing yet
      this.#sendPointer.call();
      this.#sendSelection.call();
      this.#sendViewport.call();
    }
    this.redraw();
  }

  redraw(): void {
    this.#dirty = true;
    this.hooks.changed();
  }

  #heard({ connectionId: id, payload }: Frame): void {
    switch (payload.case) {
      case "cursorMove":
        this.#pointers.set(id, { x: payload.value.x, y: payload.value.y });
        break;
      case "selection":
        this.#selections.set(id, payload.value.objectIds);
        break;
      case "viewport":
        this.#viewports.set(id, payload.value);
        break;
      case "customSignal":
        if (payload.value.type !== pointerSignal) {
          return;
        }
        this.#kinds.set(id, payload.value.data[0] ?? 0);
        break;
      default:
        return;
    }
    this.redraw();
  }

  #signalPointer(): void {
    if (this.#pointer === undefined || this.#others().length === 0) {
      return;
    }
    this.board.signal({ case: "cursorMove", value: this.#pointer });
    if (this.#kind !== this.#sentKind) {
      this.#sentKind = this.#kind;
      this.board.signal({
        case: "customSignal", value: { type: pointerSignal, data: Uint8Array.of(this.#kind) },
      });
    }
  }

  #signalSelection(): void {
    if (this.#others().length > 0) {
      const objectIds = Object.keys(this.#selected).slice(0, maxSelected).map(objectID);
      this.board.signal({ case: "selection", value: { objectIds } });
    }
  }

  /** Whoever follows somebody leads nobody: two who follow each other would chase each other. */
  #signalViewport(): void {
    const state = this.#state;
    if (state === undefined || state.userToFollow !== null || this.#others().length === 0) {
      return;
    }
    const { scrollX, scrollY, width, height, zoom } = state;
    this.board.signal({
      case: "viewport",
      value: { x: -scrollX, y: -scrollY, width: width / zoom.value, height: height / zoom.value, zoom: zoom.value },
    });
  }
}
