import { useState, type KeyboardEvent, type ReactElement } from "react";

/** The most characters of a board's name that the server takes. */
const maxLength = 200;

/** A name that becomes a field: Enter and leaving it keep what was typed, Escape does not. */
export function EditField({ label, value, onDone }: {
  label: string; value: string; onDone: (value: string | undefined) => void;
}): ReactElement {
  const [text, setText] = useState(value);
  const done = (to: string | undefined) => {
    const clean = to?.replace(/[\p{C}\s]+/gu, " ").trim();
    onDone(clean === "" || clean === value ? undefined : clean);
  };
  const key = (event: KeyboardEvent) => {
    event.stopPropagation(); // not for the canvas
    if (event.key === "Enter" && !event.nativeEvent.isComposing) {
      done(text);
    } else if (event.key === "Escape") {
      done(undefined);
    }
  };
  return (
    <input
      className="edit-field" aria-label={label} value={text} maxLength={maxLength} autoFocus spellCheck={false}
      onFocus={(event) => event.target.select()} onChange={(event) => setText(event.target.value)}
      onKeyDown={key} onBlur={() => done(text)}
    />
  );
}
