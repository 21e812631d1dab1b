/** Does something at most once in an interval: at once where that has passed, else at its end. */
export class Throttle {
  #last = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly interval: number, readonly action: () => void) {}

  call(): void {
    const wait = this.#last + this.interval - performance.now();
    if (wait <= 0) {
      this.#run();
    } else {
      this.#timer ??= setTimeout(() => this.#run(), wait);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #run(): void {
    this.stop();
    this.#last = performance.now();
    this.action();
  }
}
