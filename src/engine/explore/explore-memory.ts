/**
 * Memory of the explore engine: all backed zones in one array, as booted before each schedule. Only
 * the lines that a schedule wrote are copied back (ER-E6: boot by snapshot).
 */

import { nodeOf } from '../../memory/physical-address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';

const LINE_WORDS = 16;
const LINE_SHIFT = 4;

export class ExploreMemory {
  /** All zones one after the other; behind them one line for memory without bytes: always 0. */
  readonly words: Int32Array;
  readonly backedBytes: number;
  /** Index of memory without bytes. */
  readonly nowhere: number;
  /** The part of each node, for walkers. */
  readonly zones: readonly Int32Array[];
  /** Words written since `writtenEnd` was last set to 0. */
  writtenFrom = 0;
  writtenEnd = 0;
  readonly #booted: Int32Array;
  readonly #zoneWords: number;
  readonly #dirty: Uint8Array;
  readonly #dirtyLines: Int32Array;
  #dirtyCount = 0;

  constructor(booted: PhysicalMemory) {
    const { zones, backedBytes } = booted;
    this.backedBytes = backedBytes;
    this.#zoneWords = backedBytes >>> 2;
    this.nowhere = zones.length * this.#zoneWords;
    this.words = new Int32Array(this.nowhere + LINE_WORDS);
    zones.forEach((zone, node) => {
      this.words.set(zone, node * this.#zoneWords);
    });
    this.#booted = this.words.slice();
    this.zones = zones.map((_, node) =>
      this.words.subarray(node * this.#zoneWords, (node + 1) * this.#zoneWords),
    );
    const lines = this.words.length >>> LINE_SHIFT;
    this.#dirty = new Uint8Array(lines);
    this.#dirtyLines = new Int32Array(lines);
  }

  /** Index of the word that holds a physical address. */
  indexOf(paHi: number, paLo: number): number {
    if ((paHi & 63) !== 0 || paLo >>> 0 >= this.backedBytes) return this.nowhere;
    const index = nodeOf(paHi) * this.#zoneWords + (paLo >>> 2);
    return index < this.nowhere ? index : this.nowhere;
  }

  peek32(paHi: number, paLo: number): number {
    return this.words[this.indexOf(paHi, paLo)]!;
  }

  write(index: number, value: number): void {
    if (index >= this.nowhere) return;
    const line = index >>> LINE_SHIFT;
    if (this.#dirty[line] === 0) this.#note(line);
    this.words[index] = value;
    this.writtenFrom = index;
    this.writtenEnd = index + 1;
  }

  /** A naturally aligned pair: both words are in one line. */
  write64(index: number, hi: number, lo: number): void {
    this.write(index, lo);
    if (index >= this.nowhere) return;
    this.words[index + 1] = hi;
    this.writtenEnd = index + 2;
  }

  writeLine(index: number, value: number): void {
    this.write(index, value);
    if (index >= this.nowhere) return;
    this.words.fill(value, index, index + LINE_WORDS);
    this.writtenEnd = index + LINE_WORDS;
  }

  /** Somebody else (a walker) is about to write the word in `zones`. */
  expectWrite(index: number): void {
    this.write(index, this.words[index]!);
  }

  #note(line: number): void {
    this.#dirty[line] = 1;
    this.#dirtyLines[this.#dirtyCount++] = line;
  }

  /** As booted. */
  restore(): void {
    const { words } = this;
    for (let i = 0; i < this.#dirtyCount; i++) {
      const line = this.#dirtyLines[i]!;
      this.#dirty[line] = 0;
      const from = line << LINE_SHIFT;
      for (let k = from; k < from + LINE_WORDS; k++) words[k] = this.#booted[k]!;
    }
    this.#dirtyCount = 0;
    this.writtenEnd = 0;
  }

  /** Lines that differ from boot, ascending by index; for digests. */
  changedLines(): Int32Array {
    return this.#dirtyLines.slice(0, this.#dirtyCount).sort();
  }
}
