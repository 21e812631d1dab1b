import { useEffect, useId, useState, type ReactElement } from "react";

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
  return (
    <div className="field">
      <label htmlFor={id}>Display name</label>
      <input
        id={id} className="input" value={text} maxLength={maxName} autoFocus autoComplete="name" spellCheck={false}
        onFocus={(event) => event.target.select()} onChange={(event) => onText(event.target.value)}
      />
    </div>
  );
}
