import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import type { Plugin } from "vite";

const require = createRequire(import.meta.url);
const root = dirname(require.resolve("@excalidraw/excalidraw")); // its dist/prod
const { version } = JSON.parse(readFileSync(join(root, "../../package.json"), "utf8")) as { version: string };

/** Where the fonts are. They do not change under this path, though their names have no hash. */
const assets = `assets/excalidraw-${version}`;

const mermaid = "\0mermaid";
const cdn = /`https:\/\/esm\.sh\/.{1,100}?\/dist\/prod\/`/g;

/**
 * Makes Excalidraw fit to be served from one origin, and small:
 *
 * - Its fonts come along, but Xiaolai, whose 13 MB are for Chinese. It asks for them at a CDN where that is not rewritten:
 *   the build fails when there is nothing to rewrite any more, or when something else names the CDN.
 * - Mermaid (2 MB, to make drawings of pasted text) and every language but English are left out.
 */
export function excalidraw(): Plugin {
  let rewritten = 0;
  return {
    name: "excalidraw",
    enforce: "pre",
    buildStart() {
      rewritten = 0;
    },
    resolveId(source, importer) {
      if (source === "@excalidraw/mermaid-to-excalidraw") {
        return mermaid;
      }
      if (/^\.\/locales\/(?!en-|percentages-)/.test(source) && importer?.startsWith(root)) {
        const english = readdirSync(join(root, "locales")).find((name) => /^en-.*\.js$/.test(name));
        return english && join(root, "locales", english);
      }
      return undefined;
    },
    load: (id) => (id === mermaid
      ? `export function parseMermaidToExcalidraw() { return Promise.reject(new Error("Mermaid is not available")); }`
      : undefined),
    transform(code, id) {
      if (!id.startsWith(root) || !code.includes("esm.sh")) {
        return undefined;
      }
      rewritten += code.match(cdn)?.length ?? 0;
      return { code: code.replace(cdn, `new URL("/${assets}/", location.origin).href`), map: null };
    },
    generateBundle(_, bundle) {
      if (rewritten !== 1) {
        this.error(`the address of a CDN was found ${rewritten} times in Excalidraw, not once: see build/excalidraw.ts`);
      }
      for (const file of Object.values(bundle)) {
        if (file.type === "chunk" && /esm\.sh|unpkg\.com|jsdelivr\.net/.test(file.code)) {
          this.error(`${file.fileName} names a CDN: see build/excalidraw.ts`);
        }
      }
      const fonts = join(root, "fonts");
      for (const font of readdirSync(fonts, { recursive: true, withFileTypes: true })) {
        const family = basename(font.parentPath);
        if (font.isFile() && family !== "Xiaolai") {
          const source = readFileSync(join(font.parentPath, font.name));
          this.emitFile({ type: "asset", fileName: `${assets}/fonts/${family}/${font.name}`, source });
        }
      }
    },
  };
}
