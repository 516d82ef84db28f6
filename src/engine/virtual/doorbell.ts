/**
 * Wakes a worker that sleeps because it waits for others. It leaves word from when on the others'
 * times matter to it, so that those who are not so far yet don't pay for waking it in vain.
 */

import { SLEEP_MS } from './control.ts';

/** A cache line per worker: [asleep (Int32), -, needPs, ...]. */
const DOUBLES = 8;
const NEED_PS = 1;

export const DOORBELL_BYTES = DOUBLES * 8;

export class Doorbell {
  readonly #words: Float64Array;
  readonly #flags: Int32Array<SharedArrayBuffer>;
  readonly #start: number;

  constructor(buffer: SharedArrayBuffer, worker: number) {
    this.#words = new Float64Array(buffer);
    this.#flags = new Int32Array(buffer);
    this.#start = worker * DOUBLES;
  }

  /** The owner sleeps until someone rings, unless there is news already; not for long anyway. */
  sleep(needPs: number, isNews: () => boolean): void {
    const flag = 2 * this.#start;
    this.#words[this.#start + NEED_PS] = needPs;
    Atomics.store(this.#flags, flag, 1);
    if (!isNews()) Atomics.wait(this.#flags, flag, 1, SLEEP_MS);
    Atomics.store(this.#flags, flag, 0);
  }

  get isAsleep(): boolean {
    return Atomics.load(this.#flags, 2 * this.#start) !== 0;
  }

  /** Another worker, after it has published its report, has come so far. */
  ring(reachedPs: number): void {
    if (reachedPs < this.#words[this.#start + NEED_PS]!) return;
    Atomics.store(this.#flags, 2 * this.#start, 0);
    Atomics.notify(this.#flags, 2 * this.#start);
  }
}
