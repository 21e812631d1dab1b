import type { Locks } from "../src/index.js";

/** What Web Locks do within a browser, for exclusive locks, of which Node has none. */
export class TestLocks {
  readonly #queues = new Map<string, (() => void)[]>(); // of names that are held
  readonly request = ((name: string, ...rest: unknown[]) => {
    const callback = rest.at(-1) as (lock: Lock | null) => unknown;
    const options = (rest.length > 1 ? rest[0] : {}) as LockOptions;
    return this.#request(name, options, callback);
  }) as Locks["request"];

  /** The names that are held. */
  held(): string[] {
    return [...this.#queues.keys()];
  }

  /** Frees a lock as a browser does when its tab is gone. */
  kill(name: string): void {
    this.#free(name);
  }

  async #request(name: string, options: LockOptions, callback: (lock: Lock | null) => unknown): Promise<unknown> {
    const queue = this.#queues.get(name);
    if (queue !== undefined && options.ifAvailable === true) {
      return callback(null);
    }
    if (queue === undefined) {
      this.#queues.set(name, []);
    } else {
      await new Promise<void>((granted, aborted) => {
        queue.push(granted);
        options.signal?.addEventListener("abort", () => {
          if (queue.includes(granted)) {
            queue.splice(queue.indexOf(granted), 1);
            aborted(options.signal?.reason);
          }
        });
      });
    }
    try {
      return await callback({ name, mode: "exclusive" });
    } finally {
      this.#free(name);
    }
  }

  #free(name: string): void {
    const next = this.#queues.get(name)?.shift();
    if (next !== undefined) {
      next();
    } else {
      this.#queues.delete(name);
    }
  }
}
