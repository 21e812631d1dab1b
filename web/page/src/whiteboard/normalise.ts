import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";

import { completed, fieldsOf, isShowable, type Fields, type Json } from "./fields.js";

/**
 * What of elements is the same for everybody who sees them, and after a reload: all but what each client keeps for itself,
 * and the wording of the order. Deleted elements are left out. The rest is in the order of the stack.
 */
export function normalise(elements: readonly ExcalidrawElement[]): Fields[] {
  return elements.filter((e) => !e.isDeleted).map(fieldsOf).filter(isShowable).map((fields) => {
    const { index: _, fileSha256: __, fileMediaType: ___, ...rest } = completed(fields);
    return sorted(rest) as Fields;
  });
}

/** With its keys in one order, so that equal ones are equal as JSON too. */
function sorted(value: Json): Json {
  if (typeof value !== "object" || value === null) {
    return value;
  }
  return Array.isArray(value) ? value.map(sorted)
    : Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key]!)]));
}
