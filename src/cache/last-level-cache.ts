/**
 * Last-level cache of a node: tags of lines whose home is this node (system-level cache at the
 * home, as on Arm's mesh). Filled by memory reads, dirty victims and downgrades; round-robin
 * replacement in each set; it never forces lines out of private caches. A dirty victim costs the
 * memory channel.
 */

import { assert } from '../base/assert.ts';
import type { CacheGeometry } from '../machine/machine.ts';

/** Bits of a set's masks. */
const WAYS_MAX = 32;

export class LastLevelCache {
  readonly #lines: Int32Array;
  /** By set: ways that hold a line, ways whose line is newer than memory, next way to replace. */
  readonly #valid: Uint32Array;
  readonly #dirty: Uint32Array;
  readonly #next: Uint8Array;
  readonly #sets: number;
  readonly #ways: number;

  constructor(geometry: CacheGeometry) {
    assert(geometry.ways <= WAYS_MAX, `last-level cache with ${geometry.ways} ways`);
    this.#sets = geometry.sets;
    this.#ways = geometry.ways;
    this.#lines = new Int32Array(geometry.sets * geometry.ways);
    this.#valid = new Uint32Array(geometry.sets);
    this.#dirty = new Uint32Array(geometry.sets);
    this.#next = new Uint8Array(geometry.sets);
  }

  has(line: number): boolean {
    if (this.#sets === 0) return false;
    return this.#find((line >>> 0) % this.#sets, line) >= 0;
  }

  /** Inserts or updates a line; returns true if a dirty victim goes to memory. */
  insert(line: number, dirty: boolean): boolean {
    if (this.#sets === 0) return dirty;
    const set = (line >>> 0) % this.#sets;
    const found = this.#find(set, line);
    if (found < 0) return this.#replace(set, line, dirty);
    if (dirty) this.#dirty[set] = this.#dirty[set]! | (1 << found);
    return false;
  }

  /** As insert, for a line that is known to be absent. */
  insertAbsent(line: number, dirty: boolean): boolean {
    if (this.#sets === 0) return dirty;
    return this.#replace((line >>> 0) % this.#sets, line, dirty);
  }

  #replace(set: number, line: number, dirty: boolean): boolean {
    const way = this.#next[set]!;
    const bit = 1 << way;
    this.#next[set] = way + 1 === this.#ways ? 0 : way + 1;
    const victimDirty = (this.#dirty[set]! & bit) !== 0;
    this.#lines[set * this.#ways + way] = line;
    this.#valid[set] = this.#valid[set]! | bit;
    this.#dirty[set] = dirty ? this.#dirty[set]! | bit : this.#dirty[set]! & ~bit;
    return victimDirty;
  }

  /** Drops a line; returns true if it was dirty. */
  remove(line: number): boolean {
    if (this.#sets === 0) return false;
    const set = (line >>> 0) % this.#sets;
    const way = this.#find(set, line);
    if (way < 0) return false;
    const bit = 1 << way;
    const dirty = (this.#dirty[set]! & bit) !== 0;
    this.#valid[set] = this.#valid[set]! & ~bit;
    this.#dirty[set] = this.#dirty[set]! & ~bit;
    return dirty;
  }

  /** Drops `count` consecutive lines: a page operation. */
  removeRange(first: number, count: number): void {
    if (this.#sets === 0) return;
    const lines = this.#lines;
    const ways = this.#ways;
    let set = (first >>> 0) % this.#sets;
    for (let i = 0; i < count; i++) {
      if (this.#valid[set] !== 0) {
        const line = (first + i) | 0;
        const base = set * ways;
        for (let way = 0; way < ways; way++) {
          if (lines[base + way] !== line) continue;
          this.#valid[set] = this.#valid[set]! & ~(1 << way);
          this.#dirty[set] = this.#dirty[set]! & ~(1 << way);
        }
      }
      if (++set === this.#sets) set = 0;
    }
  }

  /** Way of the line in its set, or -1. */
  #find(set: number, line: number): number {
    const base = set * this.#ways;
    const lines = this.#lines;
    for (let way = 0; way < this.#ways; way++) {
      if (lines[base + way] === line && ((this.#valid[set]! >>> way) & 1) === 1) return way;
    }
    return -1;
  }
}
