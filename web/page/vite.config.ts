import { defineConfig } from "vite";

import { compress } from "./build/compress.js";
import { excalidraw } from "./build/excalidraw.js";
import { replace } from "./build/replace.js";

export default defineConfig({
  logLevel: "warn",
  plugins: [excalidraw(), compress(), replace()],
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false, // see replace
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2500, // kB: the whiteboard's, before compression
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { pluginTimings: false },
      onLog(level, log, report) {
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") { // "use client", which means nothing here
          report(level, log);
        }
      },
    },
  },
});
