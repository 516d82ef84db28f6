/**
 * Caches of the naive engine: a private cache as one Map per set, whose order of insertion is the
 * order of use, and a last-level cache as a list of slots per set. Lines are named by the physical
 * address of their first byte, as a plain number.
 */

import { assert } from '../../src/base/assert.ts';
import type { CacheGeometry } from '../../src/machine/machine.ts';

export const LINE_BYTES = 64;

/** MESI, ordered by what it allows. */
export const Mesi = { Invalid: 0, Shared: 1, Exclusive: 2, Modified: 3 } as const;

export interface Victim {
  readonly line: number;
  readonly state: number;
}

export class PrivateCache {
  readonly #sets: Map<number, number>[];
  readonly #ways: number;

  constructor(geometry: CacheGeometry) {
    this.#sets = Array.from({ length: geometry.sets }, () => new Map<number, number>());
    this.#ways = geometry.ways;
  }

  #setOf(line: number): Map<number, number> {
    return this.#sets[(line / LINE_BYTES) % this.#sets.length]!;
  }

  state(line: number): number {
    return this.#setOf(line).get(line) ?? Mesi.Invalid;
  }

  /** State of the line; it becomes the most recently used. */
  use(line: number): number {
    const set = this.#setOf(line);
    const state = set.get(line);
    if (state === undefined) return Mesi.Invalid;
    set.delete(line);
    set.set(line, state);
    return state;
  }

  /** Changes the state of a line that is there; its recency stays. */
  change(line: number, state: number): void {
    const set = this.#setOf(line);
    if (set.has(line)) set.set(line, state);
  }

  /** Adds an absent line; the least recently used line of a full set leaves. */
  add(line: number, state: number): Victim | null {
    const set = this.#setOf(line);
    assert(!set.has(line), 'the line is there already');
    let victim: Victim | null = null;
    if (set.size === this.#ways) {
      const [oldest, oldState] = set.entries().next().value!;
      victim = { line: oldest, state: oldState };
      set.delete(oldest);
    }
    set.set(line, state);
    return victim;
  }

  drop(line: number): number {
    const set = this.#setOf(line);
    const state = set.get(line) ?? Mesi.Invalid;
    set.delete(line);
    return state;
  }

  clear(): void {
    for (const set of this.#sets) set.clear();
  }

  lines(): Map<number, number> {
    return new Map(this.#sets.flatMap((set) => [...set]));
  }
}

/** L1 instruction cache: lines in order of use, each with the words that its CPU executes. */
export class TextCache {
  readonly #sets: Map<number, readonly number[]>[];
  readonly #ways: number;

  constructor(geometry: CacheGeometry) {
    this.#sets = Array.from({ length: geometry.sets }, () => new Map());
    this.#ways = geometry.ways;
  }

  #setOf(line: number): Map<number, readonly number[]> {
    return this.#sets[(line / LINE_BYTES) % this.#sets.length]!;
  }

  has(line: number): boolean {
    return this.#setOf(line).has(line);
  }

  use(line: number): readonly number[] | undefined {
    const set = this.#setOf(line);
    const words = set.get(line);
    if (words === undefined) return undefined;
    set.delete(line);
    set.set(line, words);
    return words;
  }

  add(line: number, words: readonly number[]): void {
    const set = this.#setOf(line);
    assert(!set.has(line), 'the line is there already');
    if (set.size === this.#ways) set.delete(set.keys().next().value!);
    set.set(line, words);
  }

  drop(line: number): void {
    this.#setOf(line).delete(line);
  }

  clear(): void {
    for (const set of this.#sets) set.clear();
  }
}

interface Slot {
  readonly line: number;
  dirty: boolean;
}

export class LastLevel {
  readonly #slots: (Slot | null)[][];
  readonly #next: number[];

  constructor(geometry: CacheGeometry) {
    const { sets, ways } = geometry;
    this.#slots = Array.from({ length: sets }, () => new Array<Slot | null>(ways).fill(null));
    this.#next = new Array<number>(sets).fill(0);
  }

  #setOf(line: number): number {
    return ((line / LINE_BYTES) % 2 ** 32) % this.#slots.length;
  }

  #find(line: number): Slot | undefined {
    if (this.#slots.length === 0) return undefined;
    return this.#slots[this.#setOf(line)]!.find((slot) => slot?.line === line) ?? undefined;
  }

  has(line: number): boolean {
    return this.#find(line) !== undefined;
  }

  /** True if a dirty line goes to memory. */
  put(line: number, dirty: boolean): boolean {
    if (this.#slots.length === 0) return dirty;
    const known = this.#find(line);
    if (known !== undefined) {
      known.dirty ||= dirty;
      return false;
    }
    const set = this.#setOf(line);
    const slots = this.#slots[set]!;
    const at = this.#next[set]!;
    this.#next[set] = (at + 1) % slots.length;
    const victim = slots[at];
    slots[at] = { line, dirty };
    return victim?.dirty === true;
  }

  /** True if the line was there and dirty. */
  take(line: number): boolean {
    const slot = this.#find(line);
    if (slot === undefined) return false;
    const slots = this.#slots[this.#setOf(line)]!;
    slots[slots.indexOf(slot)] = null;
    return slot.dirty;
  }
}
