import type { Plugin } from "vite";

/** Puts back the file that lets Go embed dist/ before there is a page: a build empties the directory. */
export function placeholder(): Plugin {
  return {
    name: "placeholder",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: ".gitignore", source: "*\n!.gitignore\n" });
    },
  };
}
