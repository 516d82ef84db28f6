/**
 * Where the workers of a run meet: one barrier, generation-counted (a fast thread cannot lap a slow
 * one), that spins briefly while there are cores for all threads and then sleeps. Every sleep has a
 * timeout and looks at the abort word; the main thread takes part in no barrier.
 */

import { InterruptedError } from '../../base/errors.ts';
import { Abort, Control } from './control.ts';

const SLEEP_MS = 50;
const SPINS = 2000;
/** Meetings without spinning after spinning has not paid. */
const RESTING_MEETINGS = 1000;

/** Another worker failed; its own error is the one to report. */
export class AbortedError extends Error {
  override readonly name = 'AbortedError';
}

export class Meeting {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #workers: number;
  readonly #maySpin: boolean;
  #resting = 0;
  #sleeps = 0;
  #sample = 0;
  meetings = 0;

  constructor(control: SharedArrayBuffer, workers: number, cores: number) {
    this.#control = new Int32Array(control);
    this.#workers = workers;
    this.#maySpin = workers <= cores;
  }

  /** Throws if the run is to end. */
  checkAbort(): void {
    const reason = Atomics.load(this.#control, Control.Abort);
    if (reason === Abort.None) return;
    if (reason === Abort.Interrupted) throw new InterruptedError('interrupted');
    throw new AbortedError('another worker failed');
  }

  /** Returns when all workers have arrived. */
  wait(): void {
    this.meetings++;
    const control = this.#control;
    const generation = Atomics.load(control, Control.Generation);
    if (Atomics.add(control, Control.Arrived, 1) === this.#workers - 1) {
      Atomics.store(control, Control.Arrived, 0);
      Atomics.add(control, Control.Generation, 1);
      Atomics.notify(control, Control.Generation);
      return;
    }
    if (this.#spin(generation)) return;
    while (Atomics.load(control, Control.Generation) === generation) {
      this.checkAbort();
      Atomics.wait(control, Control.Generation, generation, SLEEP_MS);
    }
  }

  /**
   * True if the generation changed while spinning. Stops spinning for a while if it mostly fails.
   */
  #spin(generation: number): boolean {
    if (!this.#maySpin) return false;
    if (this.#resting > 0) {
      this.#resting--;
      return false;
    }
    for (let i = 0; i < SPINS; i++) {
      if (Atomics.load(this.#control, Control.Generation) !== generation) {
        this.#judge(false);
        return true;
      }
    }
    this.#judge(true);
    return false;
  }

  #judge(slept: boolean): void {
    if (slept) this.#sleeps++;
    if (++this.#sample < 256) return;
    if (this.#sleeps > 128) this.#resting = RESTING_MEETINGS;
    this.#sample = 0;
    this.#sleeps = 0;
  }
}
