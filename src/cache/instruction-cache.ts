/**
 * L1 instruction cache: tags as in TagArray, and beside each way where the words of its copy lie,
 * which are what the CPU executes. Without CTR_EL0.DIC nothing but maintenance keeps them equal to
 * memory (Arm ARM DDI 0487, B2.3 "Concurrent modification and execution of instructions"), so they
 * are taken down when the line is filled. With DIC the cache is included in the coherent L2, and
 * its lines have no words of their own.
 */

import type { CacheGeometry } from '../machine/machine.ts';
import { LineState } from './line-state.ts';
import { TagArray } from './tag-array.ts';

const LINE_WORDS = 16;
const NO_WORDS = new Int32Array(0);

export class InstructionCache extends TagArray {
  /** Index in `words` of the copy of each way; moves with its tag. */
  readonly slots: Int32Array;
  /** Copies; none if the cache is coherent. Made with the first fill. */
  words: Int32Array = NO_WORDS;
  #isUsed = false;
  readonly #coherent: boolean;

  constructor(geometry: CacheGeometry, nodeCount: number, coherent: boolean) {
    super(geometry, nodeCount);
    this.#coherent = coherent;
    this.slots = Int32Array.from(this.tags, (_, way) => way * LINE_WORDS);
  }

  /** As in every cache; nothing to remove before the first fill. */
  override remove(paHi: number, paLo: number): number {
    return this.#isUsed ? super.remove(paHi, paLo) : LineState.Invalid;
  }

  override touch(paHi: number, paLo: number): number {
    const way = this.find(paHi, paLo);
    if (way < 0) return LineState.Invalid;
    const entry = this.tags[way]!;
    this.#moveToFront(way, this.baseOf(paLo), entry);
    return entry & 3;
  }

  baseOf(paLo: number): number {
    return ((paLo >>> 6) & this.setMask) * this.ways;
  }

  override fill(paHi: number, paLo: number, state: number): number {
    if (!this.#isUsed && !this.#coherent) {
      this.words = new Int32Array(this.tags.length * LINE_WORDS);
    }
    this.#isUsed = true;
    const base = this.baseOf(paLo);
    let victim = base + this.ways - 1;
    for (let way = base; way < base + this.ways; way++) {
      if ((this.tags[way]! & 3) !== 0) continue;
      victim = way;
      break;
    }
    this.#moveToFront(victim, base, this.keyOf(paHi, paLo) | state);
    return base;
  }

  #moveToFront(way: number, base: number, entry: number): void {
    const { tags, slots } = this;
    const slot = slots[way]!;
    for (let at = way; at > base; at--) {
      tags[at] = tags[at - 1]!;
      slots[at] = slots[at - 1]!;
    }
    tags[base] = entry;
    slots[base] = slot;
  }

  /** Takes down the line that was used last in its set, from its zone or from nothing. */
  copy(paLo: number, zone: Int32Array): void {
    const { words } = this;
    const to = this.slots[this.baseOf(paLo)]!;
    const from = (paLo & ~63) >>> 2;
    if (from + LINE_WORDS > zone.length) {
      words.fill(0, to, to + LINE_WORDS);
      return;
    }
    for (let i = 0; i < LINE_WORDS; i++) words[to + i] = zone[from + i]!;
  }
}
