/**
 * Store buffer of one CPU under tso (Owens, Sarkar, Sewell, "A better x86 memory model: x86-TSO",
 * TPHOLs 2009): FIFO, the CPU's own loads see its newest store, others see memory.
 *
 * Deviation: a load that is covered only in part takes the rest from memory; hardware waits until
 * the store has left. The buffer holds CAPACITY stores; then the next store waits for a drain.
 */

import type { ExploreMemory } from './explore-memory.ts';

const CAPACITY = 32;

export class StoreBuffer {
  /** Stores in the buffer. */
  count = 0;
  // Of each: word in memory, bits of it that are stored, their values; the second word of a pair.
  readonly #word = new Int32Array(CAPACITY);
  readonly #mask = new Int32Array(CAPACITY);
  readonly #value = new Int32Array(CAPACITY);
  readonly #wide = new Uint8Array(CAPACITY);
  readonly #valueHi = new Int32Array(CAPACITY);
  readonly #paHi = new Int32Array(CAPACITY);
  readonly #paLo = new Int32Array(CAPACITY);
  readonly #bytes = new Uint8Array(CAPACITY);
  #first = 0;

  clear(): void {
    this.count = 0;
    this.#first = 0;
  }

  get full(): boolean {
    return this.count === CAPACITY;
  }

  /** Physical address and size of the oldest store. */
  get oldestHi(): number {
    return this.#paHi[this.#first]!;
  }

  get oldestLo(): number {
    return this.#paLo[this.#first]!;
  }

  get oldestBytes(): number {
    return this.#bytes[this.#first]!;
  }

  get oldestWord(): number {
    return this.#word[this.#first]!;
  }

  /** `mask` and `value` are in place in the word. `bytes` 8: value and valueHi whole. */
  push(
    word: number,
    mask: number,
    value: number,
    valueHi: number,
    paHi: number,
    paLo: number,
    bytes: number,
  ): void {
    const at = (this.#first + this.count) % CAPACITY;
    this.#word[at] = word;
    this.#mask[at] = mask;
    this.#value[at] = value & mask;
    this.#wide[at] = bytes === 8 ? 1 : 0;
    this.#valueHi[at] = valueHi;
    this.#paHi[at] = paHi;
    this.#paLo[at] = paLo;
    this.#bytes[at] = bytes;
    this.count++;
  }

  /** The word as this CPU sees it. */
  visible(words: Int32Array, word: number): number {
    let value = words[word]!;
    for (let i = 0; i < this.count; i++) {
      const at = (this.#first + i) % CAPACITY;
      const first = this.#word[at]!;
      if (first === word) value = (value & ~this.#mask[at]!) | this.#value[at]!;
      else if (first + 1 === word && this.#wide[at] === 1) value = this.#valueHi[at]!;
    }
    return value;
  }

  /** Is a store to the line of this word on its way? */
  holdsLine(word: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (this.#word[(this.#first + i) % CAPACITY]! >>> 4 === word >>> 4) return true;
    }
    return false;
  }

  /** The oldest store reaches memory. */
  drain(memory: ExploreMemory): void {
    const at = this.#first;
    const word = this.#word[at]!;
    if (this.#wide[at] === 1) memory.write64(word, this.#valueHi[at]!, this.#value[at]!);
    else memory.write(word, (memory.words[word]! & ~this.#mask[at]!) | this.#value[at]!);
    this.#first = (at + 1) % CAPACITY;
    this.count--;
  }
}
