import { CaptureUpdateAction, convertToExcalidrawElements } from "@excalidraw/excalidraw";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import { useEffect, useLayoutEffect, useRef, useState, type ReactElement } from "react";
import { createPortal, flushSync } from "react-dom";

const size = 200;
const step = 24; // from one note to the next, where they would lie on each other

/**
 * A tool that puts a note into the middle of what is seen, ready to be written on. Excalidraw lets nobody add to its tools:
 * it is put among them, on a phone among those at the side, whenever Excalidraw has made them anew.
 */
export function StickyTool({ api, isMobile }: { api: ExcalidrawImperativeAPI; isMobile: boolean }): ReactElement {
  const marker = useRef<HTMLSpanElement>(null);
  const [place] = useState(() => {
    const element = document.createElement("div");
    element.style.display = "contents";
    return element;
  });
  const canvas = () => marker.current!.closest(".excalidraw")!;
  const add = () => {
    flushSync(() => addNote(api));
    write(canvas()); // at once: a phone shows its keyboard only for what the user's touch does
  };

  useLayoutEffect(() => {
    const next = isMobile ? null : [...canvas().querySelectorAll(".App-toolbar .App-toolbar__divider")].at(-1);
    const tools = isMobile ? canvas().querySelector(".mobile-misc-tools-container") : next?.parentElement;
    if (tools && place.parentElement !== tools) {
      tools.insertBefore(place, next ?? null);
    }
  }); // each time
  useEffect(() => () => place.remove(), [place]);

  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      const modified = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
      if (event.key.toLowerCase() === "n" && !modified && !event.repeat && !event.defaultPrevented && isFree(event.target, api)) {
        event.preventDefault(); // or the letter would be the first on the note
        add();
      }
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, [api]);

  return (
    <span ref={marker} hidden>
      {createPortal(
        <button
          type="button" className="ToolIcon ToolIcon_type_button ToolIcon_size_medium sticky-note" data-testid="sticky-note"
          title="Sticky note — N" aria-label="Sticky note" aria-keyshortcuts="N" onClick={add}
        >
          <div className="ToolIcon__icon" aria-hidden="true">
            <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.25" strokeLinejoin="round">
              <path d="M3.5 3.5h13v8.5l-4.5 4.5h-8.5z M12 16.5v-4.5h4.5" />
            </svg>
            <span className="ToolIcon__keybinding">N</span>
          </div>
        </button>, place)}
    </span>
  );
}

/** Whether a letter is a shortcut: nobody writes, and nothing lies over the canvas. */
function isFree(target: EventTarget | null, api: ExcalidrawImperativeAPI): boolean {
  const { openDialog, openMenu, openPopup, editingTextElement } = api.getAppState();
  return openDialog === null && openMenu === null && openPopup === null && editingTextElement === null
    && !(target instanceof Element && target.closest("input, textarea, select, dialog, [role=dialog], [role=menu], [contenteditable]") !== null);
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
