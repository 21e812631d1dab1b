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
const subset = "\0subset";

// Modules that take the places of Excalidraw's.
const instead = new Map([
  [mermaid, `export const parseMermaidToExcalidraw = () => Promise.reject(new Error("Mermaid is not available"));`],
  [subset, `
    export const Commands = {};
    export const WorkerUrl = undefined;
    export const toBase64 = (font) => new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(new Blob([font], { type: "font/woff2" }));
    });
    export const subsetToBase64 = toBase64;`],
]);

/** What is rewritten, each in one place of Excalidraw. */
const rewrites: readonly { what: string; find: RegExp; replace: string }[] = [
  {
    what: "the address of a CDN",
    find: /`https:\/\/esm\.sh\/.{1,100}?\/dist\/prod\/`/g,
    replace: `new URL("/${assets}/", location.origin).href`,
  },
  // Or it would look for the worker of what is left out, and complain.
  { what: "the worker for fonts", find: /typeof Worker<"u"/g, replace: "false" },
  // It reads the order of all elements, twice, whenever a scene is shown: half of the time that one change takes on a large
  // board. A scene that says that it is in order is believed as often as it says: see compose.ts.
  {
    what: "syncInvalidIndices",
    find: /=e=>\{(?=let t=([\w$]+)\(e\),n=([\w$]+)\(e,t\);for\(let\[r,o\]of n\)[\w$]+\(r,o,!1\);return e\})/g,
    replace: "=e=>{if(e.inOrder>0){e.inOrder--;return e}",
  },
];

/**
 * Makes Excalidraw fit to be served from one origin, and small:
 *
 * - Its fonts come along, but Xiaolai, whose 13 MB are for Chinese. It asks for them at a CDN where that is not rewritten:
 *   the build fails when there is nothing to rewrite any more, or when something else names the CDN.
 * - Mermaid (2 MB, to make drawings of pasted text) and every language but English are left out.
 * - So is what cuts from a font the letters that an exported SVG needs: 2 MB of WebAssembly, with glue that makes code of
 *   text, which the Content-Security-Policy refuses. An SVG has its fonts whole: some 50 kB each.
 * - It believes the page that elements are in order.
 */
export function excalidraw(): Plugin {
  const found = new Map<string, number>();
  return {
    name: "excalidraw",
    enforce: "pre",
    buildStart() {
      found.clear();
    },
    resolveId(source, importer) {
      if (source === "@excalidraw/mermaid-to-excalidraw") {
        return mermaid;
      }
      if (/^\.\/subset-(shared|worker)\.chunk\.js$/.test(source) && importer?.startsWith(root)) {
        return subset;
      }
      if (/^\.\/locales\/(?!en-|percentages-)/.test(source) && importer?.startsWith(root)) {
        const english = readdirSync(join(root, "locales")).find((name) => /^en-.*\.js$/.test(name));
        return english && join(root, "locales", english);
      }
      return undefined;
    },
    load: (id) => instead.get(id),
    transform(code, id) {
      if (!id.startsWith(root)) {
        return undefined;
      }
      let to = code;
      for (const { what, find, replace } of rewrites) {
        found.set(what, (found.get(what) ?? 0) + (code.match(find)?.length ?? 0));
        to = to.replace(find, replace);
      }
      return to === code ? undefined : { code: to, map: null };
    },
    generateBundle(_, bundle) {
      for (const { what } of rewrites) {
        if (found.get(what) !== 1) {
          this.error(`${what} was found ${found.get(what)} times in Excalidraw, not once: see build/excalidraw.ts`);
        }
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
