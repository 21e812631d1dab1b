import type { BoardObject, Replica } from "@collaboard/sdk";

import { completed, patched, type Fields, type Patch } from "./fields.js";
import { fieldsOfObject, type Step } from "./mapping.js";
import { objectID } from "./names.js";

/** Changes that were submitted and are not answered yet. */
export interface Submitted {
  readonly patches: ReadonlyMap<string, Patch>; // by element id
  readonly creates: ReadonlySet<string>;
}

/** What somebody's gesture will do. */
interface Ghost {
  readonly userID: string;
  readonly steps: ReadonlyMap<string, Step>; // by element id
  readonly until: number;
}

/**
 * What is known of the elements, in layers: what is confirmed, what the gestures of others will do, and what this client
 * has submitted. Each lies on those before it by property. On top of all, but not here, is what was not submitted yet.
 */
export class Layers {
  readonly #replica: () => Replica | undefined;
  readonly #decoded = new WeakMap<BoardObject, Fields>();
  readonly #ghosts = new Map<string, Ghost>(); // by connection id
  readonly #submitted = new Set<Submitted>(); // in the order of submission

  constructor(replica: () => Replica | undefined) {
    this.#replica = replica;
  }

  /** What the log says; that it is deleted, too. */
  confirmed(id: string): Fields | undefined {
    const object = this.#replica()?.object(objectID(id));
    if (object === undefined) {
      return undefined;
    }
    let fields = this.#decoded.get(object);
    if (fields === undefined) {
      this.#decoded.set(object, (fields = fieldsOfObject(object)));
    }
    return fields;
  }

  /** Whether an update of the element will find it on the board. */
  isKnown(id: string): boolean {
    return this.confirmed(id) !== undefined || [...this.#submitted].some((s) => s.creates.has(id));
  }

  /** The element of an object that was submitted, and is not in the log yet. */
  nameOf(object: string): string | undefined {
    return [...this.#submitted].flatMap(({ creates }) => [...creates]).find((id) => objectID(id) === object);
  }

  isGhost(id: string): boolean {
    return [...this.#ghosts.values()].some((g) => g.steps.has(id));
  }

  /** The fields with all layers, complete; undefined where there is no such element. */
  fields(id: string): Fields | undefined {
    const confirmed = this.confirmed(id);
    let fields = confirmed;
    for (const ghost of this.#ghosts.values()) {
      const step = ghost.steps.get(id);
      if (step !== undefined && (fields === undefined) === step.creates) {
        fields = patched(fields ?? {}, step.patch);
      }
    }
    for (const { patches, creates: made } of this.#submitted) {
      const patch = patches.get(id);
      const creates = made.has(id);
      if (patch !== undefined && (creates ? confirmed === undefined : fields !== undefined)) {
        fields = patched(fields ?? {}, patch);
      }
    }
    return fields && completed(fields);
  }

  submit(submitted: Submitted): void {
    this.#submitted.add(submitted);
  }

  /** The submitted changes were answered: they are confirmed now, or were refused. */
  answered(submitted: Submitted): void {
    this.#submitted.delete(submitted);
  }

  /** Whether changes of the element are not answered yet. */
  isSubmitted(id: string): boolean {
    return [...this.#submitted].some(({ patches }) => patches.has(id));
  }

  get submitted(): ReadonlySet<Submitted> {
    return this.#submitted;
  }

  /** Puts a ghost in the place of the sender's one before. Returns the elements that may look different now. */
  haunt(connectionID: string, userID: string, steps: ReadonlyMap<string, Step>, until: number): Set<string> {
    const ids = this.exorcise(connectionID);
    if (steps.size > 0) {
      this.#ghosts.set(connectionID, { userID, steps, until });
    }
    return new Set([...ids, ...steps.keys()]);
  }

  exorcise(connectionID: string): Iterable<string> {
    const ids = this.#ghosts.get(connectionID)?.steps.keys() ?? [];
    this.#ghosts.delete(connectionID);
    return ids;
  }

  /** Takes away what a user's ghosts do to an element that the user has changed for good. */
  confirm(userID: string, id: string): void {
    for (const [connection, ghost] of this.#ghosts) {
      if (ghost.userID === userID && ghost.steps.has(id)) {
        const steps = new Map(ghost.steps);
        steps.delete(id);
        if (steps.size > 0) {
          this.#ghosts.set(connection, { ...ghost, steps });
        } else {
          this.#ghosts.delete(connection);
        }
      }
    }
  }

  /** Ends the ghosts of connections that are gone or have been silent. */
  expire(now: number, isHere: (connectionID: string) => boolean): Set<string> {
    const ids = new Set<string>();
    for (const [connection, ghost] of this.#ghosts) {
      if (ghost.until <= now || !isHere(connection)) {
        for (const id of this.exorcise(connection)) {
          ids.add(id);
        }
      }
    }
    return ids;
  }

  /** Connections with a gesture in flight. */
  haunting(): ReadonlySet<string> {
    return new Set(this.#ghosts.keys());
  }
}
