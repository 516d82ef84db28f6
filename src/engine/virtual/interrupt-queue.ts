/**
 * Interrupts on their way to one CPU, by (arrival, vector): a short sorted list. Two IPIs of one
 * vector that arrive before the first is taken stay two: senders count acknowledgements.
 */

import { assert } from '../../base/assert.ts';
import { NEVER } from './cpu-state.ts';

const CAPACITY_START = 8;

export class InterruptQueue {
  #times = new Float64Array(CAPACITY_START);
  #vectors = new Int32Array(CAPACITY_START);
  #count = 0;

  earliest(): number {
    return this.#count === 0 ? NEVER : this.#times[0]!;
  }

  add(arrivalPs: number, vector: number): void {
    if (this.#count === this.#times.length) this.#grow();
    let at = this.#count++;
    while (at > 0 && this.#after(at - 1, arrivalPs, vector)) {
      this.#times[at] = this.#times[at - 1]!;
      this.#vectors[at] = this.#vectors[at - 1]!;
      at--;
    }
    this.#times[at] = arrivalPs;
    this.#vectors[at] = vector;
  }

  /** Removes the earliest and returns its vector. */
  take(): number {
    assert(this.#count > 0, 'no interrupt is pending');
    const vector = this.#vectors[0]!;
    this.#count--;
    this.#times.copyWithin(0, 1, this.#count + 1);
    this.#vectors.copyWithin(0, 1, this.#count + 1);
    return vector;
  }

  #after(at: number, arrivalPs: number, vector: number): boolean {
    if (this.#times[at] !== arrivalPs) return this.#times[at]! > arrivalPs;
    return this.#vectors[at]! > vector;
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    const vectors = new Int32Array(times.length);
    times.set(this.#times);
    vectors.set(this.#vectors);
    this.#times = times;
    this.#vectors = vectors;
  }
}
