import { constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/**
 * Leaves what is worth compressing only compressed, with ".gz" at the end of its name: the server serves it as it is, and
 * unpacks it for the rare client that cannot. gzip rather than Brotli, since Go can unpack it.
 */
export function compress(): Plugin {
  return {
    name: "compress",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const [fileName, file] of Object.entries(bundle)) {
          if (/\.(js|css|svg|json)$/.test(fileName)) {
            const source = gzipSync(file.type === "chunk" ? file.code : file.source, { level: constants.Z_BEST_COMPRESSION });
            delete bundle[fileName];
            this.emitFile({ type: "asset", fileName: `${fileName}.gz`, source });
          }
        }
      },
    },
  };
}
