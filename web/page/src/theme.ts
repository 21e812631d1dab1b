import { useSyncExternalStore } from "react";

import { load, save } from "./store.js";

export type Theme = "light" | "dark";
export type ThemeChoice = Theme | "system";

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function themeChoice(): ThemeChoice {
  const choice = load("theme");
  return choice === "light" || choice === "dark" ? choice : "system";
}

export function chooseTheme(choice: ThemeChoice): void {
  save("theme", choice);
  applyTheme();
  listeners.forEach((changed) => changed());
}

function theme(): Theme {
  const choice = themeChoice();
  return choice === "system" ? (dark.matches ? "dark" : "light") : choice;
}

/** Makes the document look as was chosen. */
export function applyTheme(): void {
  document.documentElement.dataset["theme"] = theme();
}

dark.addEventListener("change", () => {
  applyTheme();
  listeners.forEach((changed) => changed());
});

addEventListener("storage", () => { // another tab's choice
  applyTheme();
  listeners.forEach((changed) => changed());
});

function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  return () => void listeners.delete(changed);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, theme);
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, themeChoice);
}
