/**
 * Last-level cache of a node: tags of lines whose home is this node (system-level cache at the home,
 * as on Arm's mesh). Filled by memory reads, write-backs and downgrades; round-robin replacement in
 * each set; it never forces lines out of private caches. A dirty victim costs the memory channel.
 */

import type { CacheGeometry } from '../machine/machine.ts';

const CLEAN = 1;
const DIRTY = 2;

export class LastLevelCache {
  readonly #lines: Int32Array;
  readonly #states: Uint8Array;
  readonly #next: Uint8Array;
  readonly #sets: number;
  readonly #ways: number;

  constructor(geometry: CacheGeometry) {
    this.#sets = geometry.sets;
    this.#ways = geometry.ways;
    this.#lines = new Int32Array(geometry.sets * geometry.ways);
    this.#states = new Uint8Array(geometry.sets * geometry.ways);
    this.#next = new Uint8Array(geometry.sets);
  }

  has(line: number): boolean {
    return this.#find(line) >= 0;
  }

  /** Inserts or updates a line; returns true if a dirty victim goes to memory. */
  insert(line: number, dirty: boolean): boolean {
    const found = this.#find(line);
    if (found >= 0) {
      if (dirty) this.#states[found] = DIRTY;
      return false;
    }
    if (this.#sets === 0) return dirty;
    const set = (line >>> 0) % this.#sets;
    const at = set * this.#ways + this.#next[set]!;
    this.#next[set] = (this.#next[set]! + 1) % this.#ways;
    const victimDirty = this.#states[at] === DIRTY;
    this.#lines[at] = line;
    this.#states[at] = dirty ? DIRTY : CLEAN;
    return victimDirty;
  }

  /** Drops a line; returns true if it was dirty. */
  remove(line: number): boolean {
    const at = this.#find(line);
    if (at < 0) return false;
    const dirty = this.#states[at] === DIRTY;
    this.#states[at] = 0;
    return dirty;
  }

  #find(line: number): number {
    if (this.#sets === 0) return -1;
    const base = ((line >>> 0) % this.#sets) * this.#ways;
    for (let at = base; at < base + this.#ways; at++) {
      if (this.#lines[at] === line && this.#states[at] !== 0) return at;
    }
    return -1;
  }
}
