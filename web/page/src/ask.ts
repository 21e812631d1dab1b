import { useEffect } from "react";

/** Has the browser ask before the tab is closed, while that would lose something. */
export function useAsk(atRisk: boolean): void {
  useEffect(() => {
    if (!atRisk) {
      return undefined;
    }
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [atRisk]);
}
