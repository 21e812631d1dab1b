/** Bounds of the pause before something is tried again, in milliseconds. */
export interface BackoffLimits {
  readonly shortest: number;
  readonly longest: number;
}

/**
 * The pause before another try: exponential with full jitter, so that clients who failed together do not return
 * together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
export class Backoff {
  #failures = 0; // in a row

  constructor(readonly limits: BackoffLimits, readonly random: () => number = Math.random) {}

  /** Counts a failure, and says how long to wait: evenly from 0 to shortest, doubled for each failure before. */
  next(): number {
    const limit = Math.min(this.limits.longest, this.limits.shortest * 2 ** Math.min(this.#failures, 32));
    this.#failures++;
    return this.random() * limit;
  }

  reset(): void {
    this.#failures = 0;
  }
}
