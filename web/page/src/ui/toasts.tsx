import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactElement, type ReactNode } from "react";

import { CloseIcon } from "./icons.js";

export interface Toast {
  readonly text: string;
  /** An error is read out at once, and stays longer. */
  readonly kind?: "error";
  /** Subscribes to what ends it before its time. */
  readonly until?: (ended: () => void) => () => void;
  readonly action?: { readonly label: string; readonly run: () => void };
}

const most = 4; // older ones go
const Toasts = createContext<(toast: Toast) => void>(() => {});

/** Returns the function that shows a toast. It stays the same. */
export function useToast(): (toast: Toast) => void {
  return useContext(Toasts);
}

export function ToastProvider({ children }: { children: ReactNode }): ReactElement {
  const [shown, setShown] = useState<readonly (Toast & { key: number })[]>([]);
  const show = useCallback((toast: Toast) => {
    // The same thing said twice is one toast, which stays as long as the newer.
    setShown((now) => [...now.filter((t) => t.text !== toast.text || t.action), { ...toast, key: performance.now() }].slice(-most));
  }, []);
  const dismiss = useCallback((key: number) => setShown((now) => now.filter((t) => t.key !== key)), []);
  return (
    <Toasts value={show}>
      {children}
      <div className="toasts">
        {shown.map((toast) => <ToastCard key={toast.key} toast={toast} onEnd={() => dismiss(toast.key)} />)}
      </div>
    </Toasts>
  );
}

function ToastCard({ toast, onEnd }: { toast: Toast; onEnd: () => void }): ReactElement {
  const [held, setHeld] = useState(false); // by the pointer or the focus
  const end = useMemo(() => ({ now: onEnd }), []);
  end.now = onEnd;
  useEffect(() => {
    if (!held) {
      const timer = setTimeout(() => end.now(), toast.kind === "error" || toast.action ? 10_000 : 4_000);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [held]);
  useEffect(() => toast.until?.(() => end.now()), []);
  const run = () => {
    toast.action?.run();
    onEnd();
  };
  return (
    <div
      className={`toast ${toast.kind ?? ""}`} role={toast.kind === "error" ? "alert" : "status"}
      onPointerEnter={() => setHeld(true)} onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)} onBlur={() => setHeld(false)}
    >
      <span>{toast.text}</span>
      {toast.action && <button type="button" className="button small" onClick={run}>{toast.action.label}</button>}
      <button type="button" className="icon-button small" aria-label="Dismiss" onClick={onEnd}><CloseIcon /></button>
    </div>
  );
}
