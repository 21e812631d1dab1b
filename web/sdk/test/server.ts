import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { inject } from "vitest";

/** The real server, on a database of its own. It can be stopped, killed, and started again on the same port. */
export class Server {
  readonly #dir = mkdtempSync(join(tmpdir(), "collaboard-sdk-"));
  #process: ChildProcess | undefined;
  #port = 0;
  #profiles = "";

  /** flags are of "collaboard serve", beside those of the address and the database. */
  constructor(readonly flags: readonly string[] = []) {}

  static async start(...flags: string[]): Promise<Server> {
    const server = new Server(flags);
    await server.start();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Where its profiles are, with --debug-addr. */
  get profiles(): string {
    return this.#profiles;
  }

  /** The file that the boards are in. */
  get database(): string {
    return join(this.#dir, "test.db");
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const args = ["serve", "--addr", `127.0.0.1:${this.#port}`, "--store", `sqlite:${this.database}`, "--drain-timeout", "1s"];
    args.push(...this.flags);
    const child = spawn(inject("program"), args, { stdio: ["ignore", "inherit", "pipe"] });
    this.#process = child;
    const log: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      log.push(line);
      this.#profiles = /msg="serving profiles" url=(\S+)/.exec(line)?.[1] ?? this.#profiles;
      const port = /msg=listening addr=\S*:(\d+)/.exec(line)?.[1];
      if (port !== undefined) {
        this.#port = Number(port);
        child.stderr.resume();
        return;
      }
    }
    throw new Error(`the server does not start:\n${log.join("\n")}`);
  }

  /** Ends the process: with SIGTERM, which lets it say good-bye, or SIGKILL, which does not. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child !== undefined && child.exitCode === null) {
      const exit = once(child, "exit");
      child.kill(signal);
      await exit;
    }
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.#dir, { recursive: true });
  }
}
