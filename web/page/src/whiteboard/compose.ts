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

/** How often Excalidraw checks the order of a scene that it is given: the build has it believe a scene that is in order. */
const checks = 2;

/** Elements that are new, or take the place of what they were; undefined for those that go. */
export type Changes = Map<string, OrderedExcalidrawElement | undefined>;

/**
 * The scene with changes, which gets those that follow from them, in the order of the stack. before has what the changed
 * elements were. Elements that are held are not replaced.
 *
 * Of two elements in one place the one that is settled there keeps it: what the server has said must be shown as it is,
 * or the order would be another on each page. The other one is left for Excalidraw to find a place just above.
 */
export function compose(
  elements: readonly ExcalidrawElement[], before: ReadonlyMap<string, ExcalidrawElement>, changes: Changes,
  held: ReadonlySet<string>, settled: (element: ExcalidrawElement) => boolean,
): { list: OrderedExcalidrawElement[]; sameOrder: boolean } {
  rebind(elements, before, changes, held);
  const list: OrderedExcalidrawElement[] = [];
  const there = new Set<string>();
  let sameOrder = true;
  for (const element of elements) {
    if (!changes.has(element.id)) {
      list.push(element as OrderedExcalidrawElement);
      continue;
    }
    there.add(element.id);
    const next = changes.get(element.id);
    sameOrder &&= next?.index === element.index;
    if (next !== undefined) {
      list.push(next);
    }
  }
  for (const [id, next] of changes) {
    if (next !== undefined && !there.has(id)) {
      sameOrder = false;
      list.push(next);
    }
  }
  return { list: sameOrder ? Object.assign(list, { inOrder: checks }) : ordered(list, settled), sameOrder };
}

function ordered(
  list: OrderedExcalidrawElement[], settled: (element: ExcalidrawElement) => boolean,
): OrderedExcalidrawElement[] {
  list.sort((a, b) => {
    if (a.index !== b.index) {
      return (a.index ?? "") < (b.index ?? "") ? -1 : 1;
    }
    return Number(settled(b)) - Number(settled(a)) || (a.id < b.id ? -1 : 1);
  });
  let last: string | undefined;
  for (const element of list) {
    if (element.index === last) {
      Object.assign(element, { index: null });
    } else {
      last = element.index;
    }
  }
  return list;
}

/**
 * Keeps boundElements, which name what is bound to an element, as the bindings and containers say that were changed. What
 * was not changed is left to Excalidraw.
 */
function rebind(
  elements: readonly ExcalidrawElement[], before: ReadonlyMap<string, ExcalidrawElement>,
  changes: Changes, held: ReadonlySet<string>,
): void {
  const targets = new Map<string, Map<string, BoundElement | undefined>>(); // what is bound, or not any more
  const note = (id: string, { target, type }: Reference, is: boolean) => {
    const bound = targets.get(target) ?? new Map<string, BoundElement | undefined>();
    targets.set(target, bound.set(id, is ? { id, type } : undefined));
  };
  let added = false;
  for (const [id, next] of changes) {
    references(before.get(id)).forEach((ref) => note(id, ref, false));
    references(next).forEach((ref) => note(id, ref, true));
    added ||= !before.has(id);
  }
  if (added) {
    for (const element of elements) {
      for (const ref of changes.has(element.id) ? [] : references(element)) {
        if (changes.has(ref.target) && !before.has(ref.target)) {
          note(element.id, ref, true);
        }
      }
    }
  }
  if (targets.size === 0) {
    return;
  }
  const there = new Map(elements.filter((e) => targets.has(e.id)).map((e) => [e.id, e as OrderedExcalidrawElement]));
  for (const [target, bound] of targets) {
    const element = changes.has(target) ? changes.get(target) : there.get(target);
    const next = element && rebound(element.boundElements ?? [], bound);
    if (next === undefined) {
      continue;
    }
    if (held.has(target) && !changes.has(target)) {
      Object.assign(element!, { boundElements: next }); // another must not take its place
    } else {
      changes.set(target, { ...element!, boundElements: next, version: element!.version + 1, versionNonce: nonce() });
    }
  }
}

/** undefined where nothing changes. */
function rebound(
  now: readonly BoundElement[], bound: ReadonlyMap<string, BoundElement | undefined>,
): BoundElement[] | undefined {
  const names = new Set(now.map(({ id }) => id));
  const next = [
    ...now.filter(({ id }) => !bound.has(id) || bound.get(id) !== undefined),
    ...[...bound.values()].filter((b): b is BoundElement => b !== undefined && !names.has(b.id)),
  ];
  return next.length === now.length && next.every(({ id }) => names.has(id)) ? undefined : next;
}
