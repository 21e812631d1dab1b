import type { AppState } from "@excalidraw/excalidraw/types";

/** Whether the user is in the middle of something that is one change when it ends. */
export function gestureIn(state: AppState, pressed: boolean): boolean {
  return pressed || state.newElement !== null || state.multiElement !== null || state.resizingElement !== null
    || state.isResizing || state.isRotating || state.selectedElementsAreBeingDragged;
}

/** The elements that Excalidraw has a hold of, and would lose if others took their places. */
export function heldIn(state: AppState, pressed: boolean): Set<string> {
  const held = new Set(pressed ? Object.keys(state.selectedElementIds) : []);
  for (const element of [state.newElement, state.resizingElement, state.multiElement, state.editingTextElement]) {
    if (element) {
      held.add(element.id);
    }
  }
  for (const id of [state.editingLinearElement?.elementId, state.croppingElementId, state.pendingImageElementId]) {
    if (id) {
      held.add(id);
    }
  }
  return held;
}
