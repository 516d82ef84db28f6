/**
 * Tags of a private cache: set-associative, true LRU (the ways of a set are kept in MRU order), one
 * Int32 per way: tag << 2 | MESI state. The tag is the physical address above set and line bits, so
 * its width is asserted when the cache is built: with 38 bits of address per node, 30 bits of tag
 * reach 2^(36 + setBits) bytes.
 *
 * The hit path of loads and stores repeats `find` inline (engine/virtual/cpu-memory.ts).
 */

import { assert } from '../base/assert.ts';
import type { CacheGeometry } from '../machine/machine.ts';
import { LineState } from './line-state.ts';

export class TagArray {
  readonly tags: Int32Array;
  readonly ways: number;
  readonly setMask: number;
  readonly setBits: number;
  /** Set by `fill`: address and state of the line that had to leave; state Invalid = none. */
  victimHi = 0;
  victimLo = 0;
  victimState: number = LineState.Invalid;

  constructor(geometry: CacheGeometry, nodeCount: number) {
    const { sets, ways } = geometry;
    assert(Number.isInteger(Math.log2(sets)), `cache with ${sets} sets`);
    this.setBits = Math.log2(sets);
    this.ways = ways;
    this.setMask = sets - 1;
    const addressBits = 38 + Math.ceil(Math.log2(nodeCount));
    assert(addressBits - 6 - this.setBits <= 30, 'tag does not fit 30 bits');
    this.tags = new Int32Array(sets * ways);
  }

  /** tag << 2 of an address: what a way holds, without the state. */
  keyOf(paHi: number, paLo: number): number {
    return ((paHi << (26 - this.setBits)) | (paLo >>> (6 + this.setBits))) << 2;
  }

  /** State of the line, Invalid if absent; a hit becomes most recently used. */
  touch(paHi: number, paLo: number): number {
    const { tags, ways } = this;
    const key = this.keyOf(paHi, paLo);
    const base = ((paLo >>> 6) & this.setMask) * ways;
    for (let way = base; way < base + ways; way++) {
      const entry = tags[way]!;
      if ((entry & ~3) !== key || (entry & 3) === 0) continue;
      for (let at = way; at > base; at--) tags[at] = tags[at - 1]!;
      tags[base] = entry;
      return entry & 3;
    }
    return LineState.Invalid;
  }

  /** Index of the way that holds the line, or -1; the order is left alone. */
  find(paHi: number, paLo: number): number {
    const { tags, ways } = this;
    const key = this.keyOf(paHi, paLo);
    const base = ((paLo >>> 6) & this.setMask) * ways;
    for (let way = base; way < base + ways; way++) {
      const entry = tags[way]!;
      if ((entry & ~3) === key && (entry & 3) !== 0) return way;
    }
    return -1;
  }

  stateAt(way: number): number {
    return this.tags[way]! & 3;
  }

  setState(way: number, state: number): void {
    this.tags[way] = (this.tags[way]! & ~3) | state;
  }

  /**
   * Puts a line that is not there as most recently used; the victim (an invalid way, else the least
   * recently used) is chosen now, after the losses of this boundary (ER-D10). Returns its way.
   */
  fill(paHi: number, paLo: number, state: number): number {
    const { tags, ways } = this;
    const base = ((paLo >>> 6) & this.setMask) * ways;
    let victim = base + ways - 1;
    for (let way = base; way < base + ways; way++) {
      if ((tags[way]! & 3) === 0) {
        victim = way;
        break;
      }
    }
    const old = tags[victim]!;
    this.victimState = old & 3;
    if (this.victimState !== LineState.Invalid) this.#nameVictim(old, (paLo >>> 6) & this.setMask);
    for (let at = victim; at > base; at--) tags[at] = tags[at - 1]!;
    tags[base] = this.keyOf(paHi, paLo) | state;
    return base;
  }

  /** Removes the line; returns the state it had. */
  remove(paHi: number, paLo: number): number {
    const way = this.find(paHi, paLo);
    if (way < 0) return LineState.Invalid;
    const state = this.tags[way]! & 3;
    this.tags[way] = 0;
    return state;
  }

  clear(): void {
    this.tags.fill(0);
  }

  #nameVictim(entry: number, set: number): void {
    const tag = entry >>> 2;
    const shift = 6 + this.setBits;
    this.victimLo = (tag << shift) | (set << 6);
    this.victimHi = tag >>> (32 - shift);
  }
}
