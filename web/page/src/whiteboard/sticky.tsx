import { CaptureUpdateAction, convertToExcalidrawElements } from "@excalidraw/excalidraw";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import type { ReactElement } from "react";

const size = 200;
const step = 24; // from one note to the next, where they would lie on each other

/** Puts a note into the middle of what is seen, ready to be written on. */
export function StickyButton({ api }: { api: ExcalidrawImperativeAPI }): ReactElement {
  return (
    <button
      type="button"
      className="sticky-note"
      data-testid="sticky-note"
      title="Sticky note"
      aria-label="Sticky note"
      onClick={(event) => {
        const canvas = event.currentTarget.closest(".excalidraw");
        addNote(api);
        requestAnimationFrame(() => canvas && write(canvas)); // when it is selected
      }}
    >
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor">
        <path d="M3 3h14v9l-5 5H3z M12 17v-5h5" strokeWidth="1.25" strokeLinejoin="round" />
      </svg>
    </button>
  );
}

/** To Excalidraw a note is a rectangle like others. */
function addNote(api: ExcalidrawImperativeAPI): void {
  const { scrollX, scrollY, width, height, zoom } = api.getAppState();
  let x = width / 2 / zoom.value - scrollX - size / 2;
  let y = height / 2 / zoom.value - scrollY - size / 2;
  const elements = api.getSceneElementsIncludingDeleted();
  while (elements.some((e) => !e.isDeleted && e.x === x && e.y === y)) {
    x += step;
    y += step;
  }
  const [note] = convertToExcalidrawElements([{
    type: "rectangle", x, y, width: size, height: size, roughness: 0, strokeWidth: 1, strokeColor: "#1e1e1e",
    backgroundColor: "#ffec99", fillStyle: "solid", roundness: null, customData: { sticky: true },
  }]);
  if (note !== undefined) {
    api.updateScene({
      elements: [...elements, note],
      appState: { selectedElementIds: { [note.id]: true }, selectedGroupIds: {}, editingGroupId: null },
      captureUpdate: CaptureUpdateAction.IMMEDIATELY,
    });
  }
}

/** Excalidraw has no call that begins to edit a text, but a key. */
function write(canvas: Element): void {
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
}
