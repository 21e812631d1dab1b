import { useEffect, useId, useRef, type FormEvent, type ReactElement, type ReactNode } from "react";

/** A modal dialog with a form. Escape and Cancel close it, Enter submits. */
export function Dialog({ title, submit, onSubmit, onClose, children }: {
  title: string; submit?: string; onSubmit?: () => void; onClose: () => void; children: ReactNode;
}): ReactElement {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => ref.current?.showModal(), []);
  const submitted = (event: FormEvent) => {
    event.preventDefault();
    onSubmit?.();
  };
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={id} onClose={onClose} onKeyDown={(event) => event.stopPropagation()}>
      <form onSubmit={submitted}>
        <h2 id={id}>{title}</h2>
        {children}
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>{submit === undefined ? "Close" : "Cancel"}</button>
          {submit !== undefined && <button type="submit" className="button primary">{submit}</button>}
        </div>
      </form>
    </dialog>
  );
}
