/**
 * Which CPU of a trace touches each page first: an open-addressing hash table of page numbers, so
 * that memory follows the trace's footprint, never its length.
 *
 * "First" is by place in the trace: the number of the record in its file, then that of the CPU
 * (files of one CPU each have no common order, so their records count as if they took turns).
 * Emulated time plays no part: a mapping is fixed before it starts.
 */

import { UserError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { CPU_SHIFT, ENTRY_WORDS, HI_MASK } from './record.ts';

export const PAGE_SHIFT = 12;
/** 16 GiB of 4K pages. */
const PAGES_MAX = 1 << 22;
/** Spaces beyond 36 bits of page number: a key is page + space * 2^36. */
const SPACE_UNIT = 2 ** 36;
const EMPTY = -1;
/** Pages looked up lately, by low bits. */
const RECENT = 1024;

/** Pages in order of first touch; shared buffers, so that every thread reads the same ones. */
export interface TouchedPages {
  /** Page number + space * 2^36: Float64. */
  readonly keys: SharedArrayBuffer;
  /** CPU of the trace that was first: Uint16. */
  readonly cpus: SharedArrayBuffer;
  readonly count: number;
}

export function pageOfKey(key: number): number {
  return key % SPACE_UNIT;
}

export function spaceOfKey(key: number): number {
  return Math.floor(key / SPACE_UNIT);
}

export class FirstTouches {
  readonly #ownSpaces: boolean;
  #mask = 4095;
  #keys = new Float64Array(4096).fill(EMPTY);
  #records = new Float64Array(4096);
  #cpus = new Uint16Array(4096);
  #count = 0;
  readonly #recentKeys = new Float64Array(RECENT).fill(EMPTY);

  /** `ownSpaces`: each CPU has an address space of its own. */
  constructor(ownSpaces: boolean) {
    this.#ownSpaces = ownSpaces;
  }

  /**
   * A batch of a file, whose first access is number `first`. Accesses stand for records: order is
   * all that counts.
   */
  touch(entries: Int32Array, count: number, first: number): void {
    const recent = this.#recentKeys;
    for (let i = 0; i < count; i++) {
      const lo = entries[ENTRY_WORDS * i]!;
      const word = entries[ENTRY_WORDS * i + 1]!;
      const cpu = word >>> CPU_SHIFT;
      const page = (word & HI_MASK) * 0x10_0000 + (lo >>> PAGE_SHIFT);
      const key = this.#ownSpaces ? page + cpu * SPACE_UNIT : page;
      const slot = (lo >>> PAGE_SHIFT) & (RECENT - 1);
      if (recent[slot] === key) continue;
      this.#insert(key, first + i, cpu);
      // Only what cannot become earlier: a later file of another CPU starts from its beginning.
      recent[slot] = key;
    }
  }

  /** Another file begins: its first records are as early as the first ones of those before. */
  beginFile(): void {
    this.#recentKeys.fill(EMPTY);
  }

  #insert(key: number, record: number, cpu: number): void {
    let at = hash(key) & this.#mask;
    while (this.#keys[at] !== EMPTY && this.#keys[at] !== key) at = (at + 1) & this.#mask;
    if (this.#keys[at] === key) {
      const earlier = record - this.#records[at]! || cpu - this.#cpus[at]!;
      if (earlier >= 0) return;
    } else if (++this.#count > PAGES_MAX) {
      const bytes = formatBytes(PAGES_MAX * 2 ** PAGE_SHIFT);
      throw new UserError(`the trace touches more than ${bytes} in pages of 4K; cut it`);
    }
    this.#keys[at] = key;
    this.#records[at] = record;
    this.#cpus[at] = cpu;
    if (2 * this.#count > this.#mask) this.#grow();
  }

  #grow(): void {
    const { [0]: keys, [1]: records, [2]: cpus } = [this.#keys, this.#records, this.#cpus] as const;
    const size = 4 * (this.#mask + 1);
    this.#mask = size - 1;
    this.#keys = new Float64Array(size).fill(EMPTY);
    this.#records = new Float64Array(size);
    this.#cpus = new Uint16Array(size);
    keys.forEach((key, from) => {
      if (key === EMPTY) return;
      let at = hash(key) & this.#mask;
      while (this.#keys[at] !== EMPTY) at = (at + 1) & this.#mask;
      this.#keys[at] = key;
      this.#records[at] = records[from]!;
      this.#cpus[at] = cpus[from]!;
    });
  }

  /** All pages, in order of first touch. */
  finish(): TouchedPages {
    const slots: number[] = [];
    this.#keys.forEach((key, at) => {
      if (key !== EMPTY) slots.push(at);
    });
    slots.sort((a, b) => this.#records[a]! - this.#records[b]! || this.#cpus[a]! - this.#cpus[b]!);
    const keys = new SharedArrayBuffer(Math.max(8, 8 * slots.length));
    const cpus = new SharedArrayBuffer(Math.max(2, 2 * slots.length));
    const [keyWords, cpuWords] = [new Float64Array(keys), new Uint16Array(cpus)];
    slots.forEach((at, index) => {
      keyWords[index] = this.#keys[at]!;
      cpuWords[index] = this.#cpus[at]!;
    });
    return { keys, cpus, count: slots.length };
  }
}

function hash(key: number): number {
  const low = key | 0;
  const high = Math.floor(key / 0x1_0000_0000) | 0;
  const mixed = Math.imul(low ^ Math.imul(high, 0x85eb_ca6b), 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}
