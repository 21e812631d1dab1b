import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactElement, type ReactNode } from "react";

export interface MenuItem {
  /** Tells it from others with the same label. */
  readonly key?: string;
  readonly label: string;
  readonly icon?: ReactNode;
  readonly danger?: boolean;
  /** Of a choice: whether this one is the chosen one. */
  readonly checked?: boolean;
  readonly run: () => void;
}

/** A button that opens a menu. Arrow keys move in it; Escape, Tab and a click elsewhere close it. */
export function Menu({ label, button, items, className = "icon-button" }: {
  label: string; button: ReactNode; items: readonly (MenuItem | string)[]; className?: string;
}): ReactElement {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const entries = () => [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];

  useEffect(() => {
    if (!open) {
      return undefined;
    }
    entries()[0]?.focus();
    const elsewhere = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    };
    document.addEventListener("pointerdown", elsewhere, true);
    return () => document.removeEventListener("pointerdown", elsewhere, true);
  }, [open]);

  const close = () => {
    setOpen(false);
    root.current?.querySelector("button")?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (!open) {
      return;
    }
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      all[to % all.length]?.focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") {
      setOpen(false);
    }
  };

  return (
    <div className="menu-root" ref={root} onKeyDown={key}>
      <button
        type="button" className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open}
        aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div className="menu" role="menu" id={id} aria-label={label}>
          {items.map((item) => (typeof item === "string"
            ? <div key={item} className="menu-title" role="presentation">{item}</div>
            : (
              <button
                key={item.key ?? item.label} type="button" tabIndex={-1} className={item.danger ? "menu-item danger" : "menu-item"}
                role={item.checked === undefined ? "menuitem" : "menuitemradio"} aria-checked={item.checked}
                onClick={() => {
                  close();
                  item.run();
                }}
              >
                <span className="menu-icon">{item.icon}</span>
                {item.label}
              </button>
            )))}
        </div>
      )}
    </div>
  );
}
