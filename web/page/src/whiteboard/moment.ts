import type { ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { BoardObject, Replica } from "@collaboard/sdk";

import { compose, type Changes } from "./compose.js";
import { completed, elementOf, isEqual, isShowable, type Fields } from "./fields.js";
import { elementID, fieldsOfObject } from "./mapping.js";

/** What was made of an object last. It is kept while the object is not there: who goes back and forth sees it again. */
interface Made {
  readonly id: string; // of the element
  readonly version: bigint; // of the object
  readonly element: OrderedExcalidrawElement | undefined; // undefined for what is not to be seen
  there: boolean;
}

/**
 * Makes scenes of moments of a board, one after the other, which nobody changes. A version of an object is the same at
 * each moment that has it, so only those objects are made anew that have another one.
 */
export class Moments {
  readonly #made = new Map<string, Made>(); // by object id
  #there = 0;

  /** The elements of the moment, which take the places of those of the moment before; undefined where they are the same. */
  show(replica: Replica, elements: readonly ExcalidrawElement[]): readonly OrderedExcalidrawElement[] | undefined {
    const changed: BoardObject[] = [];
    let left = this.#there;
    let there = 0;
    for (const object of replica.objects()) {
      there++;
      const made = this.#made.get(object.id);
      left -= made?.there === true ? 1 : 0;
      if (made?.there !== true || made.version !== object.version) {
        changed.push(object);
      }
    }
    const others = left === 0 ? [] : [...this.#made].filter(([id, { there }]) => there && replica.object(id) === undefined);
    if (changed.length + others.length === 0) {
      return undefined;
    }
    const scene = this.#there === 0 ? [] : elements; // or what is there is another log's
    const now = new Map(scene.map((e) => [e.id, e]));
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
      const made = this.#make(object, now);
      change(made.id, made.element);
    }
    for (const [, made] of others) { // which are not on the board yet
      made.there = false;
      change(made.id, undefined);
    }
    this.#there = there;
    return compose(scene, before, changes, new Set(), () => true).list;
  }

  #make(object: BoardObject, now: ReadonlyMap<string, ExcalidrawElement>): Made {
    let made = this.#made.get(object.id);
    if (made?.version !== object.version || (made.element !== undefined && made.element.index !== object.zIndex)) {
      const id = elementID(object);
      const fields = object.deleted ? undefined : fieldsOfObject(object);
      const element = isShowable(fields) ? placed(now.get(id), completed(fields)) : undefined;
      made = { id, version: object.version, element, there: true };
      this.#made.set(object.id, made);
    }
    made.there = true;
    return made;
  }
}

/**
 * The element of the fields, in the place of what it was. Where it is only elsewhere it is the same one, as when it is dragged: it need
 * not be drawn anew, which is what takes the time where much is in sight.
 */
function placed(was: ExcalidrawElement | undefined, fields: Fields): OrderedExcalidrawElement {
  const element = elementOf(fields, was);
  if (was === undefined || !isEqual({ ...was, ...own(element) }, element)) {
    return element;
  }
  return Object.assign(was, own(element)) as OrderedExcalidrawElement;
}

function own({ x, y, version, versionNonce, updated }: ExcalidrawElement): Partial<ExcalidrawElement> {
  return { x, y, version, versionNonce, updated };
}
