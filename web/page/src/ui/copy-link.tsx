import { useState, type ReactElement } from "react";

import { boardPath } from "../route.js";
import { Dialog } from "./dialog.js";
import { useToast } from "./toasts.js";

/** Copies the address of a board, or shows it to be copied: browsers keep the clipboard from pages that came over plain HTTP. */
export function useCopyLink(id: string): { run: () => void; shown: string | undefined; close: () => void } {
  const [shown, setShown] = useState<string>();
  const toast = useToast();
  const run = async () => {
    const link = location.origin + boardPath(id);
    try {
      await navigator.clipboard.writeText(link);
      toast({ text: "Link copied" });
    } catch {
      setShown(link);
    }
  };
  return { run: () => void run(), shown, close: () => setShown(undefined) };
}

export function CopyDialog({ link, onClose }: { link: string; onClose: () => void }): ReactElement {
  return (
    <Dialog title="Link to this board" onClose={onClose}>
      <input className="input" aria-label="Link" value={link} readOnly autoFocus onFocus={(event) => event.target.select()} />
    </Dialog>
  );
}
