import type { BoundElement, ExcalidrawElement, OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";

import { nonce } from "./fields.js";

interface Reference {
  readonly target: string;
  readonly type: BoundElement["type"];
}

/** What an element is bound to: the ends of an arrow, the container of a text. */
function references(element: ExcalidrawElement | undefined): Reference[] {
  if (element === undefined || element.isDeleted) {
    return [];
  }
  if (element.type === "text") {
    return element.containerId ? [{ target: element.containerId, type: "text" }] : [];
  }
  if (element.type === "arrow") {
    return [element.startBinding, element.endBinding].flatMap((b) => (b ? [{ target: b.elementId, type: "arrow" }] : []));
  }
  return [];
}

/**
 * Keeps boundElements, which name what is bound to an element, as the bindings and containers say that were changed. What
 * was not changed is left to Excalidraw. before and after are whole scenes; after is changed.
 */
export function rebind(
  before: ReadonlyMap<string, ExcalidrawElement>, after: Map<string, OrderedExcalidrawElement>,
  changed: Iterable<string>, held: ReadonlySet<string>,
): void {
  const targets = new Map<string, Map<string, BoundElement | undefined>>(); // what is bound, or not any more
  const note = (id: string, { target, type }: Reference, is: boolean) => {
    const bound = targets.get(target) ?? new Map<string, BoundElement | undefined>();
    targets.set(target, bound.set(id, is ? { id, type } : undefined));
  };
  const added = new Set<string>();
  for (const id of changed) {
    references(before.get(id)).forEach((ref) => note(id, ref, false));
    references(after.get(id)).forEach((ref) => note(id, ref, true));
    if (!before.has(id)) {
      added.add(id);
    }
  }
  if (added.size > 0) {
    for (const [id, element] of after) {
      references(element).filter((ref) => added.has(ref.target)).forEach((ref) => note(id, ref, true));
    }
  }
  for (const [target, bound] of targets) {
    const element = after.get(target);
    if (element === undefined) {
      continue;
    }
    const now = element.boundElements ?? [];
    const names = new Set(now.map(({ id }) => id));
    const next = [
      ...now.filter(({ id }) => !bound.has(id) || bound.get(id) !== undefined),
      ...[...bound.values()].filter((b): b is BoundElement => b !== undefined && !names.has(b.id)),
    ];
    if (next.length === now.length && next.every(({ id }) => names.has(id))) {
      continue;
    }
    if (held.has(target)) {
      Object.assign(element, { boundElements: next }); // another must not take its place
    } else {
      after.set(target, { ...element, boundElements: next, version: element.version + 1, versionNonce: nonce() });
    }
  }
}
