/**
 * Where a table page hangs in the trees that CPUs use: tree, level and first input address of what
 * it maps. Asked only when a descriptor is broken; found by going down from the roots, and kept as
 * long as the entry that led there still leads there (also over schedules, which begin alike).
 *
 * Deviation: 4K granules only; what is not found has no place, and nothing is said about it.
 */

import { GRANULE_4K, LAST_LEVEL, levelShift } from '../../translation/granule.ts';

const PAGE_SHIFT = 12;
const ENTRIES = 512;
const HIGH_WORD = 2 ** 32;
/** A search that has seen so many tables gives up. */
const TABLES_MAX = 1024;

export interface Tree {
  /** Page number of the root. */
  readonly page: number;
  readonly stage: 1 | 2;
  readonly startLevel: number;
}

export interface Place {
  readonly tree: Tree;
  readonly level: number;
  /** First input address that the table maps. */
  readonly base: number;
  /** The entry that leads here; none for a root. */
  readonly parent: { readonly place: Place; readonly page: number; readonly index: number } | null;
}

/** Input addresses [first, last] of one leaf. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** Physical address in pages, as one exact number. */
export function pageNumber(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** (32 - PAGE_SHIFT) + (lo >>> PAGE_SHIFT);
}

function isTableAt(lo: number, level: number): boolean {
  return (lo & 3) === 3 && level < LAST_LEVEL;
}

export class TableTrees {
  readonly #word: (hi: number, lo: number) => number;
  readonly #trees = new Map<number, Tree>();
  readonly #places = new Map<number, Place>();

  constructor(word: (hi: number, lo: number) => number) {
    this.#word = word;
  }

  /** No root is in use; places are kept, and looked at again when they are asked for. */
  begin(): void {
    this.#trees.clear();
  }

  /** A CPU uses this root. */
  add(page: number, stage: 1 | 2, startLevel: number): void {
    if (this.#trees.has(page)) return;
    const kept = this.#places.get(page);
    const same = kept?.parent === null && kept.tree.startLevel === startLevel;
    this.#trees.set(page, same ? kept.tree : { page, stage, startLevel });
  }

  /** null: no root in use leads to this page now. */
  placeOf(page: number): Place | null {
    const kept = this.#places.get(page);
    if (kept !== undefined && this.#holds(kept, page)) return kept;
    this.#places.delete(page);
    for (const tree of this.#trees.values()) {
      const root: Place = { tree, level: tree.startLevel, base: 0, parent: null };
      const found = this.#search(root, tree.page, page);
      if (found !== null) return found;
    }
    return null;
  }

  /** Leaves under a descriptor at a place: itself, or all of its subtree. */
  leavesOf(place: Place, index: number, hi: number, lo: number, leaves: Span[]): void {
    const bytes = 2 ** levelShift(GRANULE_4K, place.level);
    const first = place.base + index * bytes;
    if (!isTableAt(lo, place.level)) {
      leaves.push({ first, last: first + bytes - 1 });
      return;
    }
    const page = pageNumber(hi, lo);
    const child: Place = { tree: place.tree, level: place.level + 1, base: first, parent: null };
    for (let entry = 0; entry < ENTRIES; entry++) {
      const low = this.#entryLo(page, entry);
      if ((low & 1) !== 0) this.leavesOf(child, entry, this.#entryHi(page, entry), low, leaves);
    }
  }

  #holds({ parent, tree }: Place, page: number): boolean {
    if (parent === null) return this.#trees.get(page) === tree;
    const { place, page: from, index } = parent;
    const lo = this.#entryLo(from, index);
    if (!isTableAt(lo, place.level)) return false;
    return pageNumber(this.#entryHi(from, index), lo) === page && this.#holds(place, from);
  }

  #search(root: Place, rootPage: number, wanted: number): Place | null {
    const queue: (readonly [number, Place])[] = [[rootPage, root]];
    for (let next = 0; next < Math.min(queue.length, TABLES_MAX); next++) {
      const [page, place] = queue[next]!;
      this.#places.set(page, place);
      if (page === wanted) return place;
      if (place.level >= LAST_LEVEL) continue;
      const bytes = 2 ** levelShift(GRANULE_4K, place.level);
      for (let index = 0; index < ENTRIES; index++) {
        const lo = this.#entryLo(page, index);
        if (!isTableAt(lo, place.level)) continue;
        const child = pageNumber(this.#entryHi(page, index), lo);
        const base = place.base + index * bytes;
        const parent = { place, page, index };
        queue.push([child, { tree: root.tree, level: place.level + 1, base, parent }]);
      }
    }
    return null;
  }

  #entryLo(page: number, index: number): number {
    const address = page * 2 ** PAGE_SHIFT;
    return this.#word(Math.floor(address / HIGH_WORD), ((address % HIGH_WORD) | 0) + index * 8);
  }

  #entryHi(page: number, index: number): number {
    const address = page * 2 ** PAGE_SHIFT;
    return this.#word(Math.floor(address / HIGH_WORD), ((address % HIGH_WORD) | 0) + index * 8 + 4);
  }
}
