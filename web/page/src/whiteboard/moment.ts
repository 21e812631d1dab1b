import type { ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { BoardObject, Replica } from "@collaboard/sdk";

import { compose, type Changes } from "./compose.js";
import { completed, elementOf, isShowable } from "./fields.js";
import { elementID, fieldsOfObject } from "./mapping.js";

/** What is needed of Excalidraw to show moments of a board. */
export interface MomentScene {
  elements(): readonly ExcalidrawElement[];
  show(elements: readonly OrderedExcalidrawElement[]): void;
}

/**
 * Shows moments of a board, one after the other, in a scene that nobody changes. A version of an object is the same at
 * each moment that has it, so only those objects are made anew that have another one.
 */
export class Moments {
  readonly #shown = new Map<string, { readonly element: string; readonly version: bigint }>(); // by object id

  constructor(readonly scene: MomentScene) {}

  show(replica: Replica): void {
    const others = new Set(this.#shown.keys());
    const changed: BoardObject[] = [];
    for (const object of replica.objects()) {
      others.delete(object.id);
      if (this.#shown.get(object.id)?.version !== object.version) {
        changed.push(object);
      }
    }
    if (changed.length + others.size === 0) {
      return;
    }
    const elements = this.scene.elements();
    const now = new Map(elements.map((e) => [e.id, e]));
    const before = new Map<string, ExcalidrawElement>();
    const changes: Changes = new Map();
    const change = (id: string, element: OrderedExcalidrawElement | undefined) => {
      changes.set(id, element);
      const was = now.get(id);
      if (was !== undefined) {
        before.set(id, was);
      }
    };
    for (const object of changed) {
      const id = elementID(object);
      const fields = object.deleted ? undefined : fieldsOfObject(object);
      change(id, isShowable(fields) ? elementOf(completed(fields), now.get(id)) : undefined);
      this.#shown.set(object.id, { element: id, version: object.version });
    }
    for (const object of others) { // which are not on the board yet
      change(this.#shown.get(object)!.element, undefined);
      this.#shown.delete(object);
    }
    this.scene.show(compose(elements, before, changes, new Set(), () => true).list);
  }
}
