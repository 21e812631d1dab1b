import { useCallback, useEffect, useId, useRef, useState, type KeyboardEvent, type ReactElement } from "react";

import { limitCharacters, maxBoardName, oneLine } from "./characters.js";

export interface Editing {
  /** The field, where there is one: what it begins with instead of the name, and whether it takes the focus. */
  readonly field: { readonly draft?: string; readonly focused: boolean } | undefined;
  begin(): void;
  /** Ends it. The element that shows the name again takes the focus, where the field had it to the end. */
  end(focus: boolean): void;
  /** Of that element. */
  readonly shown: (element: HTMLElement | null) => void;
}

/** What was typed, and could not be kept. Each is another object. */
export interface Draft {
  readonly name: string;
}

/** With a draft the field is there again. It takes the focus from nothing but the name. */
export function useEditing(draft: Draft | undefined): Editing {
  const [field, setField] = useState<Editing["field"]>();
  const focus = useRef(false);
  const name = useRef<HTMLElement>(null);
  const shown = useCallback((element: HTMLElement | null) => {
    name.current = element;
    if (element !== null && focus.current) {
      focus.current = false;
      element.focus();
    }
  }, []);
  useEffect(() => {
    if (draft !== undefined) {
      setField({ draft: draft.name, focused: name.current !== null && name.current === document.activeElement });
    }
  }, [draft]);
  return {
    field, shown,
    begin: () => setField({ focused: true }),
    end: (to) => {
      focus.current = to;
      setField(undefined);
    },
  };
}

/** A name that becomes a field: Enter and leaving it keep what was typed, Escape does not. */
export function EditField({ label, value, editing, onChange, onCancel }: {
  label: string; value: string; editing: Editing; onChange: (value: string) => void; onCancel: () => void;
}): ReactElement {
  const [text, setText] = useState(editing.field?.draft ?? value);
  const [cut, setCut] = useState(false);
  const hint = useId();
  const type = (typed: string) => {
    const name = limitCharacters(typed, maxBoardName);
    setText(name);
    setCut(name !== typed);
  };
  const done = (to: string, focus: boolean) => {
    editing.end(focus);
    const clean = oneLine(to);
    if (clean !== "" && clean !== value) {
      onChange(clean);
    } else {
      onCancel();
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
    <span className="edit">
      <input
        className="edit-field" aria-label={label} aria-describedby={cut ? hint : undefined} value={text} spellCheck={false}
        autoFocus={editing.field?.focused === true} onFocus={(event) => event.target.select()}
        onChange={(event) => type(event.target.value)} onKeyDown={key} onBlur={() => done(text, false)}
      />
      {cut && <span id={hint} className="edit-hint" role="alert">At most {maxBoardName} characters: the rest was left out.</span>}
    </span>
  );
}
