/** Tells listeners of events. M maps the name of each event to what its listeners are given. */
export class Emitter<M> {
  readonly #listeners = new Map<keyof M, Set<(value: never) => void>>();

  /** Calls listener at each event of that name, until the function that is returned is called. */
  on<K extends keyof M>(name: K, listener: (value: M[K]) => void): () => void {
    const own = (value: M[K]) => listener(value); // so that the same function may listen twice
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set.add(own));
    return () => void set.delete(own);
  }

  /** What a listener throws is reported as an uncaught error, and disturbs nobody else. */
  protected emit<K extends keyof M>(name: K, value: M[K]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(value as never);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }
  }
}
