/**
 * Where workers that share a node meet: one barrier, generation-counted (a fast thread cannot lap a
 * slow one), that spins briefly while there are cores for all threads and then sleeps. Every sleep
 * has a timeout and looks at the abort word; the main thread takes part in no barrier.
 */

import { Control, checkAbort, SLEEP_MS } from './control.ts';
import { Patience } from './patience.ts';

export class Meeting {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #workers: number;
  readonly #patience: Patience;
  readonly #isOver = (): boolean => this.#generationNow() !== this.#generation;
  #generation = 0;

  constructor(control: SharedArrayBuffer, workers: number, cores: number) {
    this.#control = new Int32Array(control);
    this.#workers = workers;
    this.#patience = new Patience(workers, cores);
  }

  /** Returns when all workers have arrived. */
  wait(): void {
    const control = this.#control;
    this.#generation = this.#generationNow();
    if (Atomics.add(control, Control.Arrived, 1) === this.#workers - 1) {
      Atomics.store(control, Control.Arrived, 0);
      Atomics.add(control, Control.Generation, 1);
      Atomics.notify(control, Control.Generation);
      return;
    }
    if (this.#patience.spin(this.#isOver)) return;
    while (!this.#isOver()) {
      checkAbort(control);
      Atomics.wait(control, Control.Generation, this.#generation, SLEEP_MS);
    }
  }

  #generationNow(): number {
    return Atomics.load(this.#control, Control.Generation);
  }
}
