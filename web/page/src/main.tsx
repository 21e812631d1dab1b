import { createRoot } from "react-dom/client";

import { App } from "./app.js";
import { applyTheme } from "./theme.js";
import "./style.css";

const root = document.getElementById("root")!;

// The canvas listens to the keyboard everywhere, so that its shortcuts work wherever the focus is. The keys that operate
// what has the focus are not for it, unless that is its own.
const operating = new Set([" ", "Enter", "Tab", "ArrowDown", "ArrowLeft", "ArrowRight", "ArrowUp", "Home", "End", "PageDown", "PageUp"]);
root.addEventListener("keydown", (event) => {
  if (operating.has(event.key) && (event.target as Element).closest(".excalidraw") === null) {
    event.stopPropagation();
  }
});

applyTheme();
createRoot(root).render(<App />);
