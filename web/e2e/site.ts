import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { extname, join, normalize } from "node:path";

const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** A web server of files, so that a page has an origin other than the server that it calls. */
export class Site {
  readonly #server: Server;

  private constructor(dir: string) {
    this.#server = createServer((request, response) => {
      const path = normalize(new URL(request.url ?? "/", "http://site").pathname).replace(/\/$/, "/index.html");
      readFile(join(dir, path)).then(
        (body) => response.setHeader("content-type", types[extname(path)] ?? "application/octet-stream").end(body),
        () => response.writeHead(404).end(),
      );
    });
  }

  static async start(dir: string): Promise<Site> {
    const site = new Site(dir);
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  get origin(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
