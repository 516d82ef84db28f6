/**
 * Tags of a domain's last-level cache for lines of other nodes: home and line number of each, all
 * of them shared and clean. Round-robin replacement in each set, as at the homes
 * (last-level-cache.ts).
 */

import type { CacheGeometry } from '../machine/machine.ts';

const NONE = -1;

export class DomainCache {
  /** Set by `fill`: the line that had to leave; home -1 = none. */
  victimHome = NONE;
  victimLine = 0;
  readonly #lines: Int32Array;
  readonly #homes: Int16Array;
  readonly #next: Uint8Array;
  readonly #sets: number;
  readonly #ways: number;

  constructor(geometry: CacheGeometry) {
    this.#sets = geometry.sets;
    this.#ways = geometry.ways;
    this.#lines = new Int32Array(geometry.sets * geometry.ways);
    this.#homes = new Int16Array(geometry.sets * geometry.ways).fill(NONE);
    this.#next = new Uint8Array(geometry.sets);
  }

  has(home: number, line: number): boolean {
    return this.#find(home, line) >= 0;
  }

  /** Puts a line in, unless it is there. */
  fill(home: number, line: number): void {
    this.victimHome = NONE;
    if (this.#find(home, line) >= 0) return;
    const set = (line >>> 0) % this.#sets;
    const way = this.#next[set]!;
    this.#next[set] = way + 1 === this.#ways ? 0 : way + 1;
    const at = set * this.#ways + way;
    this.victimHome = this.#homes[at]!;
    this.victimLine = this.#lines[at]!;
    this.#homes[at] = home;
    this.#lines[at] = line;
  }

  remove(home: number, line: number): void {
    const at = this.#find(home, line);
    if (at >= 0) this.#homes[at] = NONE;
  }

  #find(home: number, line: number): number {
    const base = ((line >>> 0) % this.#sets) * this.#ways;
    for (let at = base; at < base + this.#ways; at++) {
      if (this.#lines[at] === line && this.#homes[at] === home) return at;
    }
    return -1;
  }
}
