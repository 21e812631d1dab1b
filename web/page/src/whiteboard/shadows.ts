import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";

import { difference, fieldsOf, patched, type Fields } from "./fields.js";

/** What the scene had for an element when it was read last. */
interface Shadow {
  fields: Fields;
  nonce: number;
  asked: string | undefined; // the index that Excalidraw was given, and has not left
}

const absent = -1; // the nonce of a shadow without an element

/**
 * A copy of the scene, to tell what was changed in it: Excalidraw says that something has changed, but not what, and
 * changes elements in place.
 */
export class Shadows {
  readonly #shadows = new Map<string, Shadow>(); // by element id
  readonly #repaired = new Set<string>();
  readonly #read: ExcalidrawElement[] = []; // the scene when it was read last, and the nonces it had
  readonly #nonces: number[] = [];
  #present = 0; // shadows with an element

  /**
   * changed is called with the keys that are not what they were. known has what a new element is to be compared with, if
   * there is anything.
   */
  constructor(
    readonly changed: (id: string, keys: readonly string[]) => void, readonly known: (id: string) => Fields | undefined,
  ) {}

  get isEmpty(): boolean {
    return this.#shadows.size === 0;
  }

  ids(): Iterable<string> {
    return this.#shadows.keys();
  }

  /** The fields of an element, also of one that is not in the scene any more: that is deleted. */
  fields(id: string): Fields | undefined {
    return this.#shadows.get(id)?.fields;
  }

  isPresent(id: string): boolean {
    return (this.#shadows.get(id)?.nonce ?? absent) !== absent;
  }

  /** The index that the element was to have, where it has another. */
  asked(id: string): string | undefined {
    return this.#shadows.get(id)?.asked;
  }

  /** Looks for what was changed. */
  read(elements: readonly ExcalidrawElement[]): void {
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!;
      const nonce = element.versionNonce;
      if (this.#read[i] !== element || this.#nonces[i] !== nonce) { // else its shadow need not be looked up
        this.#read[i] = element;
        this.#nonces[i] = nonce;
        this.#compare(element);
      }
    }
    this.#read.length = this.#nonces.length = elements.length;
    if (this.#present > elements.length) {
      this.#missing(elements);
    }
  }

  /** Takes what was put into the scene as it is: nobody has changed it. */
  put(element: ExcalidrawElement): void {
    this.#present += this.isPresent(element.id) ? 0 : 1;
    this.#shadows.set(element.id, { fields: fieldsOf(element), nonce: element.versionNonce, asked: undefined });
  }

  /** Takes elements as Excalidraw has left them when they were put into the scene: it may have changed their indices. */
  repair(elements: Iterable<ExcalidrawElement | undefined>): void {
    for (const element of elements) {
      const shadow = element && this.#shadows.get(element.id);
      if (shadow === undefined || shadow.nonce === element!.versionNonce) {
        continue;
      }
      if (shadow.fields.index !== element!.index) {
        shadow.asked ??= String(shadow.fields.index ?? "");
        shadow.fields = patched(shadow.fields, { index: element!.index });
        this.#repaired.add(element!.id);
      }
      shadow.nonce = element!.versionNonce;
    }
  }

  /** Returns the elements that do not have the index they were to have, once. */
  takeRepaired(): string[] {
    const ids = [...this.#repaired];
    this.#repaired.clear();
    return ids;
  }

  forget(id: string): void {
    this.#present -= this.isPresent(id) ? 1 : 0;
    this.#shadows.delete(id);
  }

  clear(): void {
    this.#shadows.clear();
    this.#repaired.clear();
    this.#read.length = this.#present = 0;
  }

  #compare(element: ExcalidrawElement): void {
    const { id, versionNonce: nonce } = element;
    const shadow = this.#shadows.get(id);
    if (shadow?.nonce === nonce) {
      return;
    }
    const fields = fieldsOf(element);
    if (shadow === undefined) {
      this.#present++;
      this.#shadows.set(id, { fields, nonce, asked: undefined });
      return this.#tell(id, difference(this.known(id) ?? {}, fields));
    }
    this.#present += shadow.nonce === absent ? 1 : 0;
    const keys = difference(shadow.fields, fields);
    Object.assign(shadow, { fields, nonce }, keys.includes("index") && { asked: undefined });
    this.#tell(id, keys);
  }

  /** Opening a file takes what was there out of the scene altogether. */
  #missing(elements: readonly ExcalidrawElement[]): void {
    const there = new Set(elements.map((element) => element.id));
    for (const [id, shadow] of this.#shadows) {
      if (shadow.nonce !== absent && !there.has(id)) {
        shadow.nonce = absent;
        this.#present--;
        if (shadow.fields.isDeleted !== true) {
          shadow.fields = patched(shadow.fields, { isDeleted: true });
          this.#tell(id, ["isDeleted"]);
        }
      }
    }
  }

  #tell(id: string, keys: readonly string[]): void {
    if (keys.length > 0) {
      this.changed(id, keys);
    }
  }
}
