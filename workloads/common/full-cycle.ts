/**
 * A random cyclic order over n lines without a table: a full-period linear congruential generator
 * on the next power of two (Hull and Dobell: odd increment, multiplier 1 mod 4), its output mixed
 * by a bijection of the same width, numbers beyond n skipped. Pointer chases need the order only;
 * most emulated memory has no bytes to keep pointers in.
 */

import { assert } from '../../src/base/assert.ts';

export class FullCycle {
  readonly size: number;
  readonly #mask: number;
  readonly #shift: number;
  readonly #increment: number;
  readonly #multiplier: number;
  #state: number;

  /** `word`: 32 random bits that choose the order and its start. */
  constructor(size: number, word: number) {
    assert(size >= 1 && size <= 2 ** 32, `cycle over ${size} elements`);
    this.size = size;
    const bits = Math.max(1, 32 - Math.clz32(size - 1));
    this.#mask = bits === 32 ? -1 : (1 << bits) - 1;
    this.#shift = (bits + 1) >> 1;
    this.#increment = (word | 1) & this.#mask;
    this.#multiplier = (0x5851f42d & ~7) | 5;
    this.#state = (word >>> 3) & this.#mask;
  }

  /** The next element, 0 .. size-1; every element comes once per `size` calls. */
  next(): number {
    for (;;) {
      const state = (Math.imul(this.#state, this.#multiplier) + this.#increment) & this.#mask;
      this.#state = state;
      let out = state ^ (state >>> this.#shift);
      out = Math.imul(out, 0x9e3779b1) & this.#mask;
      out = (out ^ (out >>> this.#shift)) >>> 0;
      if (out < this.size) return out;
    }
  }
}
