import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import type { TestProject } from "vitest/node";

import buildServer from "../sdk/test/build-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    clientPage: string; // directory of the page in client/, built
  }
}

/** Builds, once for all tests, the server and the page of the gRPC-Web clients. */
export default async function setup(project: TestProject): Promise<() => void> {
  const clientPage = mkdtempSync(join(tmpdir(), "collaboard-e2e-"));
  await build({
    root: join(import.meta.dirname, "client"), configFile: false, logLevel: "warn",
    build: { outDir: clientPage, emptyOutDir: true, chunkSizeWarningLimit: 2000 },
  });
  project.provide("clientPage", clientPage);
  const removeServer = buildServer(project);
  return () => {
    removeServer();
    rmSync(clientPage, { recursive: true });
  };
}
