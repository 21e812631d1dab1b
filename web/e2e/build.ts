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
    hold: string; // path of the program test/hold
  }
}

/** Builds, once for all tests, the whiteboard page, the server that it is embedded in, and the page of gRPC-Web clients. */
export default async function setup(project: TestProject): Promise<() => void> {
  const dir = mkdtempSync(join(tmpdir(), "collaboard-e2e-"));
  const clientPage = join(dir, "client");
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
  execFileSync("go", ["build", "-o", join(dir, "hold"), "./test/hold"], { cwd: join(import.meta.dirname, "../.."), stdio: "inherit" });
  project.provide("hold", join(dir, "hold"));
  return () => {
    removeServer();
    rmSync(dir, { recursive: true });
  };
}
