/**
 * Tells whether a large page may overlap smaller entries, so that inserting one needn't scan the
 * array: for each page size ever inserted, how many smaller entries lie in each region of that
 * size. Regions share counters by hash: a zero is certain, anything else asks for a scan.
 */

import { assert } from '../base/assert.ts';
import { addressBits } from './granule.ts';

const SIZES_MAX = 16;

export class RegionCounts {
  readonly #counts: Uint16Array;
  readonly #hashShift: number;
  readonly #sizes = new Uint8Array(SIZES_MAX);
  #sizeCount = 0;

  constructor(entries: number) {
    assert(entries < 65536, 'a region counter holds 16 bits');
    const bits = 32 - Math.clz32(entries - 1) + 2;
    this.#counts = new Uint16Array(2 ** bits);
    this.#hashShift = 32 - bits;
  }

  /** Does anything have to be counted? */
  get inUse(): boolean {
    return this.#sizeCount > 0;
  }

  knows(shift: number): boolean {
    for (let k = 0; k < this.#sizeCount; k++) if (this.#sizes[k] === shift) return true;
    return false;
  }

  /** Starts to count for a size; the caller then counts the entries that are already there. */
  learn(shift: number): void {
    assert(this.#sizeCount < SIZES_MAX, 'more page sizes than any granule has');
    this.#sizes[this.#sizeCount++] = shift;
  }

  /** An entry of a smaller size in its region of size 2^shift. */
  countOne(shift: number, hi: number, lo: number): void {
    this.#counts[this.#slot(shift, hi, lo)]!++;
  }

  /** An entry came (+1) or went (-1). */
  count(entryShift: number, hi: number, lo: number, change: number): void {
    for (let k = 0; k < this.#sizeCount; k++) {
      const shift = this.#sizes[k]!;
      if (shift > entryShift) this.#counts[this.#slot(shift, hi, lo)]! += change;
    }
  }

  /** May the region of 2^shift bytes around the address hold a smaller entry? */
  mayHold(shift: number, hi: number, lo: number): boolean {
    return this.#counts[this.#slot(shift, hi, lo)] !== 0;
  }

  #slot(shift: number, hi: number, lo: number): number {
    const key = addressBits(hi, lo, shift) + Math.imul(shift, 0x85ebca6b);
    return Math.imul(key, 0x9e3779b1) >>> this.#hashShift;
  }
}
