import { readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import type { Plugin } from "vite";

/**
 * Takes away what an earlier build left, once this one is written: one that fails leaves the page as it was. The committed
 * file that lets Go embed the directory before there is a page stays.
 */
export function replace(): Plugin {
  return {
    name: "replace",
    writeBundle({ dir }, bundle) {
      for (const entry of readdirSync(dir!, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && entry.name !== ".gitignore" && bundle[relative(dir!, path)] === undefined) {
          rmSync(path);
        }
      }
    },
  };
}
