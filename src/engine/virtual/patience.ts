/**
 * Whether a worker that waits for another one spins or sleeps. The other one usually needs a few
 * microseconds, waking up takes tens of them; so a worker spins while there are cores for all, but
 * not for long, and no more for a while when spinning mostly fails: others need the cores then.
 */

/** Spinning longer than it takes to wake up cannot pay. */
const SPIN_MS = 0.1;
/** Polls between two looks at the clock. */
const POLLS = 64;
/** Waits that are judged together. */
const SAMPLE = 64;
/** Waits without spinning after spinning has not paid. */
const RESTING_WAITS = 500;

export class Patience {
  readonly #maySpin: boolean;
  #resting = 0;
  #failed = 0;
  #sample = 0;

  constructor(workers: number, cores: number) {
    this.#maySpin = workers <= cores;
  }

  /** Polls for a while. True: `arrived` has become true; false: sleep. */
  spin(arrived: () => boolean): boolean {
    if (!this.#maySpin) return false;
    if (this.#resting > 0) {
      this.#resting--;
      return false;
    }
    const success = poll(arrived);
    if (!success) this.#failed++;
    if (++this.#sample === SAMPLE) {
      if (2 * this.#failed > SAMPLE) this.#resting = RESTING_WAITS;
      this.#sample = 0;
      this.#failed = 0;
    }
    return success;
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
