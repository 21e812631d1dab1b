import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    program: string; // path of the server's
  }
}

/** Builds the server once, for all tests. */
export default function setup(project: TestProject): () => void {
  const dir = mkdtempSync(join(tmpdir(), "collaboard-sdk-"));
  const program = join(dir, "collaboard");
  const root = resolve(import.meta.dirname, "../../..");
  execFileSync("go", ["build", "-o", program, "./cmd/collaboard"], { cwd: root, stdio: "inherit" });
  project.provide("program", program);
  return () => rmSync(dir, { recursive: true });
}
