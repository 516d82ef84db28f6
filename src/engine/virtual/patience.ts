/**
 * Whether a worker that waits for another one spins or sleeps. The other one usually needs a few
 * microseconds, waking up takes tens of them; so a worker spins while there are cores for all. But
 * not for long: when others use the cores, it spins away what the one it waits for needs. When
 * spinning mostly fails it rests for a while, and longer each time it fails again.
 */

/** Spinning longer than it takes to wake up cannot pay. */
const SPIN_MS = 0.1;
/** Polls between two looks at the clock. */
const POLLS = 32;
/** Waits that are judged together. */
const SAMPLE = 16;
/** After spinning has not paid; doubled each time. */
const REST_LEAST_MS = 1;
const REST_MOST_MS = 64;

export class Patience {
  readonly #maySpin: boolean;
  #restUntilMs = 0;
  #restMs = REST_LEAST_MS;
  #failed = 0;
  #sample = 0;

  constructor(workers: number, cores: number) {
    this.#maySpin = workers <= cores;
  }

  /** Polls for a while. True: `arrived` has become true; false: sleep. */
  spin(arrived: () => boolean): boolean {
    if (!this.#maySpin) return false;
    if (this.#restUntilMs > 0) {
      if (performance.now() < this.#restUntilMs) return false;
      this.#restUntilMs = 0;
    }
    const success = poll(arrived);
    if (!success) this.#failed++;
    if (++this.#sample === SAMPLE) this.#judge();
    return success;
  }

  #judge(): void {
    if (2 * this.#failed > SAMPLE) {
      this.#restUntilMs = performance.now() + this.#restMs;
      this.#restMs = Math.min(2 * this.#restMs, REST_MOST_MS);
    } else {
      this.#restMs = REST_LEAST_MS;
    }
    this.#sample = 0;
    this.#failed = 0;
  }
}

function poll(arrived: () => boolean): boolean {
  for (let i = 0; i < POLLS; i++) {
    if (arrived()) return true;
  }
  const endMs = performance.now() + SPIN_MS;
  while (performance.now() < endMs) {
    for (let i = 0; i < POLLS; i++) {
      if (arrived()) return true;
    }
  }
  return false;
}
