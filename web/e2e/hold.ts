import { spawn } from "node:child_process";
import { once } from "node:events";
import { inject, onTestFinished } from "vitest";

/** Keeps a server from writing to its database, until the function that is returned is called. */
export async function hold(database: string): Promise<() => Promise<void>> {
  const child = spawn(inject("hold"), [database], { stdio: ["pipe", "pipe", "inherit"] });
  const exit = once(child, "exit");
  const release = async () => {
    child.stdin.end();
    await exit;
  };
  onTestFinished(release);
  await once(child.stdout, "data"); // it says that it has the lock
  return release;
}
