/**
 * A plain model of one CPU's caches, to hold traces against: L1I, L1D and an L2 that includes the
 * L1D, true LRU, sets as lists of lines. It reads lackey text by itself. No time, no other CPUs, no
 * page-table walks: what is left is which accesses hit.
 *
 * Pages get frames one after the other in order of first touch, from a multiple of any cache's way:
 * where the boot allocator puts them.
 */

import type { CacheGeometry, Machine } from '../../src/machine/machine.ts';

const LINE_BYTES = 64;
const PAGE_BYTES = 4096;

class PlainCache {
  readonly #sets: number[][];
  readonly #ways: number;

  constructor({ sets, ways }: CacheGeometry) {
    this.#sets = Array.from({ length: sets }, () => []);
    this.#ways = ways;
  }

  /** Most recently used first. */
  #setOf(line: number): number[] {
    return this.#sets[line % this.#sets.length]!;
  }

  hits(line: number): boolean {
    const set = this.#setOf(line);
    const at = set.indexOf(line);
    if (at < 0) return false;
    set.splice(at, 1);
    set.unshift(line);
    return true;
  }

  /** The line that has to leave, or -1. */
  fill(line: number): number {
    const set = this.#setOf(line);
    set.unshift(line);
    return set.length > this.#ways ? set.pop()! : -1;
  }

  drop(line: number): void {
    const set = this.#setOf(line);
    const at = set.indexOf(line);
    if (at >= 0) set.splice(at, 1);
  }
}

export interface PlainHits {
  l1: number;
  l2: number;
  misses: number;
  fetches: number;
}

/** Hits and misses of data, and lines fetched. */
export function runPlainCaches(machine: Machine, lackey: string): PlainHits {
  const [l1i, l1d, l2] = [machine.l1i, machine.l1d, machine.l2].map(
    (geometry) => new PlainCache(geometry),
  ) as [PlainCache, PlainCache, PlainCache];
  const frames = new Map<number, number>();
  const hits: PlainHits = { l1: 0, l2: 0, misses: 0, fetches: 0 };
  const lineAt = (address: number): number => {
    const page = Math.floor(address / PAGE_BYTES);
    if (!frames.has(page)) frames.set(page, frames.size);
    const offset = Math.floor((address % PAGE_BYTES) / LINE_BYTES);
    return frames.get(page)! * (PAGE_BYTES / LINE_BYTES) + offset;
  };
  /** true: the L2 had it. */
  const fromL2 = (line: number): boolean => {
    if (l2.hits(line)) return true;
    const victim = l2.fill(line);
    if (victim >= 0) l1d.drop(victim);
    return false;
  };
  const data = (line: number): void => {
    if (l1d.hits(line)) {
      hits.l1++;
      return;
    }
    if (fromL2(line)) hits.l2++;
    else hits.misses++;
    l1d.fill(line);
  };
  for (const [, kind, hex, size] of lackey.matchAll(/^([I ][ LSM]) +([0-9a-f]+),(\d+)$/gm)) {
    const start = Number.parseInt(hex!, 16);
    const last = Math.floor((start + Number(size) - 1) / LINE_BYTES);
    for (const _ of kind === ' M' ? [0, 1] : [0]) {
      for (let at = Math.floor(start / LINE_BYTES); at <= last; at++) {
        const line = lineAt(at * LINE_BYTES);
        if (kind!.startsWith('I')) {
          hits.fetches++;
          if (!l1i.hits(line)) {
            fromL2(line);
            l1i.fill(line);
          }
        } else data(line);
      }
    }
  }
  return hits;
}
