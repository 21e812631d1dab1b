import type { Client } from "@collaboard/sdk";

/** Whether changes that are not acked survive the end of the page: not where the client was not able to store one. */
export class Kept {
  readonly #listeners = new Set<() => void>();
  #kept = "indexedDB" in globalThis;

  /** To be made with the client, which may notice at once. */
  constructor(client: Pick<Client, "on">) {
    client.on("storageError", () => {
      this.#kept = false;
      this.#listeners.forEach((changed) => changed());
    });
  }

  readonly now = (): boolean => this.#kept;

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };
}
