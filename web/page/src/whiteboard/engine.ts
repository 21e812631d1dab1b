import type { ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { AppState } from "@excalidraw/excalidraw/types";
import { FrameError, OutboxFullError, type Board, type Frame, type Pending, type Unsaved } from "@collaboard/sdk";

import { explain, explainUndone } from "../errors.js";
import { Arrows } from "./arrows.js";
import { batches, opBytes, sizeOf, thinned, type Limits } from "./batches.js";
import { compose, type Changes } from "./compose.js";
import { completed, difference, elementOf, isShowable, patched, patchOf, type Fields, type Patch } from "./fields.js";
import { frameOf, stepsOf } from "./frames.js";
import { ghostLife, Ghosts } from "./ghosts.js";
import { gestureIn, heldIn } from "./gesture.js";
import { Layers, type Submitted } from "./layers.js";
import { compact, createOp, elementID, updateOp, type Op, type Step } from "./mapping.js";
import { Shadows } from "./shadows.js";

/** What the engine needs of Excalidraw. */
export interface Scene {
  elements(): readonly ExcalidrawElement[]; // deleted ones too
  /** Shows these in the place of all others, not to be undone. Excalidraw may change their indices. */
  show(elements: readonly OrderedExcalidrawElement[]): void;
  state(): AppState;
}

/** What the engine needs of the board. */
export type EngineBoard = Pick<Board, "id" | "replica" | "members" | "unsaved" | "submit" | "signal" | "on">;

export interface Hooks {
  /** Calls back once, before the browser paints again. Returns how to take that back. */
  frame(callback: () => void): () => void;
  /** Calls back once, after ms. */
  later(ms: number, callback: () => void): () => void;
  now(): number;
  limits(): Limits;
  /** Changes were not submitted yet, or all were. */
  unsent(unsent: boolean): void;
  /** Something was refused here. What the server refuses the client tells by its event "refused". */
  error(message: string): void;
  /** What is sent along with a new element beside its fields. */
  attachment?(fields: Fields): Patch | undefined;
  /** The user types into a text. */
  typing?(): void;
}

const textPause = 2500; // ms between commits of a text that is being edited,
const wordPause = 500; // or ms after the last letter: whoever stops to think, or leaves, has nothing unsent
const commitPause = 100; // ms between commits of changes that come without a gesture, such as keys held down
const retryPause = 1000;

/** What the user has changed of an element, and what it is now. */
export interface Unsent {
  readonly patch: Patch;
  readonly fields: Fields;
  readonly creates: boolean;
}

/** A change of an element, to be sent. */
interface Change {
  readonly id: string;
  readonly op: Op;
  readonly patch: Patch;
  readonly creates: boolean;
  readonly size: number;
}

/**
 * Keeps a board and Excalidraw's scene the same.
 *
 * The scene is read where the nonce of an element has changed: what is different from the shadow is the user's doing. It
 * is unsent until the gesture ends, and then one batch; meanwhile others see it as a ghost. What is shown is what the
 * layers say with what is unsent on top. Elements that a gesture holds are left alone until it ends, so that no gesture
 * is torn. Everything is done once for all that happened since the browser painted last.
 */
export class Engine {
  readonly layers: Layers;
  readonly #shadows: Shadows;
  readonly #ghosts: Ghosts;
  readonly #arrows: Arrows;
  readonly #unsent = new Map<string, Set<string>>(); // keys, by element id
  readonly #stale = new Set<string>(); // elements to look at
  readonly #detach: (() => void)[];
  #inherited = false; // what was submitted before
  #pressed = false;
  #cancelFrame: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;
  #committedAt = -Infinity;
  #changedAt = -Infinity; // by the user
  #retryAt = 0;
  #saidUnsent = false;
  #stopped = false;

  constructor(readonly board: EngineBoard, readonly scene: Scene, readonly hooks: Hooks) {
    this.layers = new Layers(() => board.replica);
    this.#shadows = new Shadows((id, keys) => this.#mark(id, keys), (id) => this.layers.fields(id));
    this.#ghosts = new Ghosts(board);
    this.#arrows = new Arrows({
      shown: (id) => this.#shown(id),
      settled: (id) => this.#unsent.has(id) || this.layers.isSubmitted(id) ? undefined : this.layers.confirmed(id),
      amend: (id, patch) => void this.amend([id], patch).catch(() => {}), // it is where it was drawn, then
    });
    this.#detach = [
      board.on("frame", (frame) => this.#logged(frame)),
      board.on("signal", (frame) => this.#heard(frame)),
      board.on("members", () => this.#expire()),
      board.on("status", ({ live }) => live && !this.#inherited && this.reload()),
      board.on("resync", () => this.reload()),
    ];
    this.reload();
  }

  stop(): void {
    this.#stopped = true;
    this.#detach.forEach((off) => off());
    this.#cancelFrame?.();
    this.#cancelTimer?.();
  }

  /** Looks at everything: the replica is another one. */
  reload(): void {
    for (const id of this.#shadows.ids()) {
      this.#stale.add(id);
    }
    for (const object of this.board.replica?.stack() ?? []) {
      this.#stale.add(elementID(object));
    }
    if (this.board.replica !== undefined && !this.#inherited) {
      this.#inherited = true;
      this.board.unsaved().forEach((unsaved) => this.#inherit(unsaved));
    }
    this.schedule();
  }

  /** Shows what was submitted before, by a page that is gone, and is not in the log yet. */
  #inherit({ payload, settled }: Unsaved): void {
    const steps = stepsOf(payload).map((step) => [this.#nameOf(step), step] as const);
    const patches = new Map<string, Patch>();
    for (const [id, { patch }] of steps) {
      if (id !== undefined) {
        patches.set(id, { ...patches.get(id), ...patch });
      }
    }
    const creates = new Set([...patches.keys()].filter((id) => steps.some(([of, { creates }]) => of === id && creates)));
    const submitted = { patches, creates };
    this.layers.submit(submitted);
    this.touch(patches.keys());
    void settled.then(() => this.#answered(submitted));
  }

  /** The id of the element that a step is about, if it is known. */
  #nameOf({ objectID, patch, creates }: Step): string | undefined {
    const object = this.board.replica?.object(objectID);
    if (object !== undefined) {
      return elementID(object);
    }
    return creates ? String(patch.id) : this.layers.nameOf(objectID);
  }

  /** Excalidraw's onChange. */
  changed(): void {
    if (this.#stopped) {
      return;
    }
    this.#absorb();
    if (this.#unsent.size > 0 || this.#stale.size > 0) {
      this.schedule();
    }
    this.#tell();
  }

  /** Whether a button of the pointer is down anywhere on the page: a gesture is under way. */
  pressed(pressed: boolean): void {
    this.#pressed = pressed;
    if (!pressed) {
      this.#committedAt = -Infinity;
      this.schedule();
    }
  }

  /** Submits what is unsent, if only for now: the page is about to go. */
  flush(): void {
    if (this.board.replica !== undefined) {
      if (this.scene.elements().length > 0) { // else it is gone already
        this.#absorb();
      }
      this.#commit();
      this.#tell();
    }
  }

  /** Does everything that is to be done before the browser paints again. */
  schedule(): void {
    if (!this.#stopped) {
      this.#cancelFrame ??= this.hooks.frame(() => {
        this.#cancelFrame = undefined;
        this.#tick();
      });
    }
  }

  /** Changes elements that are on the board, beside the user. Resolves when that is sure to become known. */
  async amend(ids: readonly string[], patch: Patch): Promise<void> {
    const steps = ids.flatMap((id) => {
      const fields = this.layers.isKnown(id) ? this.#shown(id) : undefined;
      return fields === undefined ? [] : [{ id, op: updateOp(patched(fields, patch), patch), patch, creates: false, size: sizeOf(patch) + opBytes }];
    });
    await Promise.all(this.#submit(steps).map(({ stored }) => stored));
  }

  /** Says that elements may look different now. */
  touch(ids: Iterable<string>): void {
    for (const id of ids) {
      this.#stale.add(id);
    }
    this.schedule();
  }

  #tick(): void {
    if (this.board.replica === undefined || this.scene.state().isLoading) {
      return;
    }
    this.#absorb();
    const state = this.scene.state();
    const now = this.hooks.now();
    const gesture = gestureIn(state, this.#pressed);
    const editing = state.editingTextElement?.id;
    let next = Infinity;
    if (this.#unsent.size > 0) {
      const due = Math.max(
        this.#retryAt,
        gesture ? Infinity
          : editing === undefined ? this.#committedAt + commitPause
          : Math.min(this.#committedAt + textPause, this.#changedAt + wordPause));
      if (now >= due) {
        this.#commit();
      } else {
        next = Math.min(next, due);
        if (gesture || editing !== undefined) {
          next = Math.min(next, this.#ghosts.send(now, () => this.#changes(), (id) => this.layers.confirmed(id) === undefined));
        }
      }
    }
    this.#apply(heldIn(state, this.#pressed), gesture);
    next = Math.min(next, this.#expire());
    this.#tell();
    this.#cancelTimer?.();
    this.#cancelTimer = next === Infinity ? undefined : this.hooks.later(Math.max(next - now, 0), () => this.schedule());
  }

  /** Reads what the user has done. */
  #absorb(): void {
    const elements = this.scene.elements();
    if (elements.length === 0 && !this.#shadows.isEmpty) {
      // Excalidraw's scene was made anew. A user who deletes everything leaves deleted elements.
      this.#shadows.clear();
      this.#unsent.clear();
      return this.reload();
    }
    this.#shadows.read(elements);
  }

  #mark(id: string, keys: readonly string[]): void {
    const unsent = this.#unsent.get(id) ?? new Set();
    keys.forEach((key) => unsent.add(key));
    this.#unsent.set(id, unsent);
    this.#changedAt = this.hooks.now();
    if (keys.includes("originalText")) {
      this.hooks.typing?.();
    }
  }

  /** What the user's changes are to be sent as, by element. */
  #changes(): Map<string, Unsent> {
    const changes = new Map<string, Unsent>();
    for (const [id, keys] of this.#unsent) {
      if (!this.#isSomething(id)) {
        continue;
      }
      const known = this.layers.isKnown(id);
      let fields = this.#shadows.fields(id)!;
      if (!known) {
        fields = patched(fields, this.hooks.attachment?.(fields) ?? {});
      }
      changes.set(id, { patch: known ? patchOf(fields, keys) : fields, fields, creates: !known });
    }
    return changes;
  }

  /** Whether others are to have the element. */
  #isSomething(id: string): boolean {
    const fields = this.#shadows.fields(id);
    return this.layers.isKnown(id) ||
      (fields !== undefined && fields.isDeleted !== true && !this.layers.isGhost(id) && isReady(fields));
  }

  /** Whether there are changes of the user's that were not submitted yet. */
  #hasUnsent(): boolean {
    return [...this.#unsent.keys()].some((id) => this.#isSomething(id) || isComing(this.#shadows.fields(id)));
  }

  #commit(): void {
    const limits = this.hooks.limits();
    const held = heldIn(this.scene.state(), this.#pressed);
    const steps: Change[] = [];
    for (let [id, { patch, fields, creates }] of this.#changes()) {
      const room = limits.objectBytes - (4 << 10);
      if (sizeOf(compact(fields, fields)) > room) {
        const less = thinned(fields, room);
        if (less === undefined) {
          if (held.has(id)) { // whoever types it can still do something about it
            this.hooks.error("This is too large to be saved. Make it shorter.");
          } else {
            this.#refuse([id], "This is too large to be saved, and was taken back.");
          }
          continue;
        }
        this.hooks.error("A long stroke was made simpler: it was too large to be kept as it was.");
        fields = completed(patched(fields, less));
        patch = creates ? fields : patched(patch as Fields, { points: fields.points!, pressures: fields.pressures ?? null });
      }
      const op = creates ? createOp(fields) : updateOp(fields, patch);
      steps.push({ id, op, patch, creates, size: sizeOf(compact(fields, patch)) + opBytes });
    }
    try {
      this.#submit(steps);
    } catch (error) {
      if (!(error instanceof OutboxFullError)) {
        this.hooks.error(`A change is not saved yet. ${explain(error)}`);
      }
      this.#retryAt = this.hooks.now() + retryPause;
      return; // what is left stays unsent
    }
    for (const id of [...this.#unsent.keys()].filter((id) => !this.layers.isKnown(id))) {
      const fields = this.#shadows.fields(id);
      if (fields?.isDeleted === true) {
        this.#unsent.delete(id); // it was never anybody else's
      } else if (fields?.type === "text" && fields.text === "" && !held.has(id)) {
        this.#unsent.delete(id); // undo of what was typed leaves it, to be seen by nobody
        this.#stale.add(id);
      }
    }
    this.#committedAt = this.hooks.now();
  }

  /** Throws where nothing can be submitted for now. What was submitted until then is not unsent any more. */
  #submit(steps: readonly Change[]): Pending[] {
    const limits = this.hooks.limits();
    return batches(steps, (step) => step.size, limits.frameBytes - (8 << 10), limits.ops).flatMap((batch) => {
      const submitted: Submitted = {
        patches: new Map(batch.map(({ id, patch }) => [id, patch])),
        creates: new Set(batch.filter(({ creates }) => creates).map(({ id }) => id)),
      };
      try {
        const pending = this.board.submit(frameOf(batch.map(({ op }) => op)));
        this.layers.submit(submitted);
        this.touch(submitted.patches.keys());
        const follow = this.#arrows.submitted(submitted.patches);
        const answered = () => this.#answered(submitted); // the client's event "refused" tells of a refusal
        pending.acked.then(() => {
          answered();
          follow();
        }, answered);
        submitted.patches.forEach((patch, id) => this.#sent(id, patch));
        return [pending];
      } catch (error) {
        if (!(error instanceof FrameError)) {
          throw error;
        }
        this.#refuse(submitted.patches.keys(), explainUndone(error));
        return [];
      }
    });
  }

  #sent(id: string, patch: Patch): void {
    const keys = this.#unsent.get(id);
    Object.keys(patch).forEach((key) => keys?.delete(key));
    if (keys?.size === 0) {
      this.#unsent.delete(id);
    }
  }

  #refuse(ids: Iterable<string>, message: string): void {
    for (const id of ids) {
      this.#unsent.delete(id);
      this.#stale.add(id);
    }
    this.hooks.error(message);
  }

  #answered(submitted: Submitted): void {
    this.layers.answered(submitted);
    this.touch(submitted.patches.keys());
    if (!this.#hasUnsent() && this.layers.submitted.size === 0) {
      this.#ghosts.end();
    }
  }

  #logged(frame: Frame): void {
    for (const step of stepsOf(frame.payload)) {
      const object = this.board.replica?.object(step.objectID);
      if (object !== undefined) {
        const id = elementID(object);
        this.layers.confirm(frame.from, id);
        this.#stale.add(id);
      }
    }
    this.schedule();
  }

  #heard(frame: Frame): void {
    if (frame.payload.case !== "objectDrag") {
      return;
    }
    const steps = new Map<string, Step>();
    for (const step of stepsOf(frame.payload)) {
      const id = this.#nameOf(step);
      if (id !== undefined) {
        steps.set(id, step);
      }
    }
    this.touch(this.layers.haunt(frame.connectionId, frame.from, steps, this.hooks.now() + ghostLife));
  }

  /** Returns when to do so again. */
  #expire(): number {
    const now = this.hooks.now();
    const gone = this.layers.expire(now, (id) => this.board.members.some((m) => m.connectionId === id));
    if (gone.size > 0) {
      this.touch(gone);
    }
    return this.layers.haunting().size > 0 ? now + ghostLife / 3 : Infinity;
  }

  /** Shows what has changed, but for what the user has in hand. */
  #apply(held: ReadonlySet<string>, gesture: boolean): void {
    if (this.#stale.size === 0) {
      return;
    }
    const changed = new Map<string, Fields | undefined>();
    for (const id of [...this.#stale]) {
      if (held.has(id) || (gesture && this.#unsent.has(id))) {
        continue; // it stays stale
      }
      this.#stale.delete(id);
      const fields = this.#shown(id);
      if (this.#isStale(id, fields)) {
        changed.set(id, isShowable(fields) ? fields : undefined);
      }
    }
    if (changed.size === 0) {
      return;
    }
    // Where the scene changes, those that had to make way for others may get the places that are theirs.
    for (const id of this.#shadows.takeRepaired()) {
      const fields = this.#shown(id);
      if (!held.has(id) && !changed.has(id) && isShowable(fields) && this.#shadows.fields(id)?.index !== fields.index) {
        changed.set(id, fields);
      }
    }
    this.#show(changed, held);
  }

  /** Whether the scene has anything else than what is to be shown. */
  #isStale(id: string, fields: Fields | undefined): boolean {
    if (!this.#shadows.isPresent(id)) {
      return isShowable(fields) && fields.isDeleted !== true;
    }
    if (!isShowable(fields)) {
      return true;
    }
    const keys = difference(this.#shadows.fields(id)!, fields);
    // It was asked for this place and has made way for another; only the server's word is a reason to ask again.
    const madeWay = fields.index === this.#shadows.asked(id) && fields.index !== this.layers.confirmed(id)?.index;
    return keys.some((key) => key !== "index" || !madeWay);
  }

  #shown(id: string): Fields | undefined {
    const fields = this.layers.fields(id);
    const keys = this.#unsent.get(id);
    const own = this.#shadows.fields(id);
    if (keys === undefined || own === undefined) {
      return fields;
    }
    return fields === undefined ? own : completed(patched(fields, patchOf(own, keys)));
  }

  #show(changed: ReadonlyMap<string, Fields | undefined>, held: ReadonlySet<string>): void {
    const elements = this.scene.elements();
    const before = new Map(elements.filter((e) => changed.has(e.id)).map((e) => [e.id, e]));
    const changes: Changes = new Map();
    for (const [id, fields] of changed) {
      if (fields === undefined) {
        changes.set(id, undefined);
        this.#shadows.forget(id);
        this.#unsent.delete(id);
      } else {
        const element = elementOf(fields, before.get(id));
        changes.set(id, element);
        this.#shadows.put(element);
      }
    }
    const { list, sameOrder } = compose(elements, before, changes, held, (e) => {
      const confirmed = this.layers.confirmed(e.id);
      return confirmed !== undefined && confirmed.index === e.index;
    });
    this.scene.show(list);
    this.#shadows.repair(sameOrder ? changes.values() : list);
  }

  #tell(): void {
    const unsent = this.#hasUnsent();
    if (unsent !== this.#saidUnsent) {
      this.#saidUnsent = unsent;
      this.hooks.unsent(unsent);
    }
  }
}

/** Whether an image is still being read. */
function isComing(fields: Fields | undefined): boolean {
  return fields?.type === "image" && fields.fileId === undefined && fields.isDeleted !== true;
}

/** Whether a new element is something yet: an image without a file and a text without words are not. */
function isReady(fields: Fields): boolean {
  return fields.type !== "selection" && !(fields.type === "image" && fields.fileId === undefined)
    && !(fields.type === "text" && fields.text === "");
}
