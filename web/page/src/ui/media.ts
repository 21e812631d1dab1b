import { useCallback, useSyncExternalStore } from "react";

/** Whether the window is as narrow as a phone; where the style changes, too. */
export function useNarrow(): boolean {
  return useMedia("(max-width: 720px)");
}

function useMedia(query: string): boolean {
  const subscribe = useCallback((changed: () => void) => {
    const media = matchMedia(query);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}
