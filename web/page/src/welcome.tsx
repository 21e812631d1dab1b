import { useEffect, useId, useState, type ReactElement } from "react";

import { limitCharacters } from "./ui/characters.js";
import { Dialog } from "./ui/dialog.js";
import { Logo } from "./ui/logo.js";
import { cleanName, maxName } from "./user.js";

/** The first visit. The name is all that is asked for; the address that was opened follows. */
export function Welcome({ onName }: { onName: (name: string) => void }): ReactElement {
  const [text, setText] = useState("");
  const name = cleanName(text);
  useEffect(() => {
    document.title = "Collaboard";
  }, []);
  return (
    <main className="welcome">
      <form
        className="welcome-card"
        onSubmit={(event) => {
          event.preventDefault();
          if (name !== "") {
            onName(name);
          }
        }}
      >
        <Logo />
        <h1>What is your name?</h1>
        <p>The people you draw with see it beside your cursor. You can change it later.</p>
        <NameField text={text} onText={setText} />
        <button type="submit" className="button primary wide" disabled={name === ""}>Continue</button>
      </form>
    </main>
  );
}

export function NameDialog({ name, onName, onClose }: {
  name: string; onName: (name: string) => void; onClose: () => void;
}): ReactElement {
  const [text, setText] = useState(name);
  const submit = () => {
    if (cleanName(text) !== "") {
      onName(cleanName(text));
    }
  };
  return (
    <Dialog title="Your name" submit="Save" onSubmit={submit} onClose={onClose}>
      <NameField text={text} onText={setText} />
    </Dialog>
  );
}

function NameField({ text, onText }: { text: string; onText: (text: string) => void }): ReactElement {
  const id = useId();
  const [cut, setCut] = useState(false);
  const type = (typed: string) => {
    const name = limitCharacters(typed, maxName); // maxLength counts an emoji as two
    onText(name);
    setCut(name !== typed);
  };
  return (
    <div className="field">
      <label htmlFor={id}>Display name</label>
      <input
        id={id} className="input" value={text} autoFocus autoComplete="name" spellCheck={false}
        aria-describedby={cut ? `${id}-hint` : undefined}
        onFocus={(event) => event.target.select()} onChange={(event) => type(event.target.value)}
      />
      {cut && <span id={`${id}-hint`} className="field-hint" role="alert">At most {maxName} characters: the rest was left out.</span>}
    </div>
  );
}
