import { useCallback, useRef, useState, type KeyboardEvent, type ReactElement } from "react";

/** The most characters of a board's name that the server takes. */
const maxLength = 200;

export interface Editing {
  readonly is: boolean;
  begin(): void;
  /** Ends it. The element that shows the name again takes the focus, where the field had it to the end. */
  end(focus: boolean): void;
  /** Of that element. */
  readonly shown: (element: HTMLElement | null) => void;
}

export function useEditing(): Editing {
  const [is, set] = useState(false);
  const focus = useRef(false);
  const shown = useCallback((element: HTMLElement | null) => {
    if (element !== null && focus.current) {
      focus.current = false;
      element.focus();
    }
  }, []);
  return {
    is, shown,
    begin: () => set(true),
    end: (to) => {
      focus.current = to;
      set(false);
    },
  };
}

/** A name that becomes a field: Enter and leaving it keep what was typed, Escape does not. */
export function EditField({ label, value, editing, onChange }: {
  label: string; value: string; editing: Editing; onChange: (value: string) => void;
}): ReactElement {
  const [text, setText] = useState(value);
  const done = (to: string, focus: boolean) => {
    editing.end(focus);
    const clean = to.replace(/[\p{C}\s]+/gu, " ").trim();
    if (clean !== "" && clean !== value) {
      onChange(clean);
    }
  };
  const key = (event: KeyboardEvent) => {
    event.stopPropagation(); // not for the canvas
    if (event.key === "Enter" && !event.nativeEvent.isComposing) {
      event.preventDefault(); // or it would press what has the focus next
      done(text, true);
    } else if (event.key === "Escape") {
      done(value, true);
    }
  };
  return (
    <input
      className="edit-field" aria-label={label} value={text} maxLength={maxLength} autoFocus spellCheck={false}
      onFocus={(event) => event.target.select()} onChange={(event) => setText(event.target.value)}
      onKeyDown={key} onBlur={() => done(text, false)}
    />
  );
}
