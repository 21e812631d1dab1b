import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";

import { completed, fieldsOf, isShowable, type Fields } from "./fields.js";

/**
 * What of elements is the same for everybody who sees them, and after a reload: all but what each client keeps for itself,
 * and the wording of the order. Deleted elements are left out. The rest is in the order of the stack.
 */
export function normalise(elements: readonly ExcalidrawElement[]): Fields[] {
  return elements.filter((e) => !e.isDeleted).map(fieldsOf).filter(isShowable).map((fields) => {
    const { index: _, fileSha256: __, fileMediaType: ___, ...rest } = completed(fields);
    return Object.fromEntries(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
