import { execFileSync } from "node:child_process";
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

/** Builds, once for all tests, the whiteboard page, the server that it is embedded in, and the page of gRPC-Web clients. */
export default async function setup(project: TestProject): Promise<() => void> {
  const clientPage = mkdtempSync(join(tmpdir(), "collaboard-e2e-"));
  await build({
    root: join(import.meta.dirname, "client"), configFile: false, logLevel: "warn",
    build: { outDir: clientPage, emptyOutDir: true, chunkSizeWarningLimit: 2000 },
  });
  project.provide("clientPage", clientPage);
  // A process of its own, since a build is for production, and this one is a test's.
  execFileSync("npm", ["run", "build", "--", "--logLevel", "warn"], {
    cwd: join(import.meta.dirname, "../page"), env: { ...process.env, NODE_ENV: "production" }, stdio: "inherit",
  });
  const removeServer = buildServer(project);
  return () => {
    removeServer();
    rmSync(clientPage, { recursive: true });
  };
}
