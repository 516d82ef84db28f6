/**
 * Stale instructions as choices: of every line of declared text, all contents that it had in this
 * schedule, and for each CPU the oldest that it may still execute. A fetch executes any of them
 * from that one to the newest, so two fetches of one word may differ in either direction (Arm ARM
 * DDI 0487 B2.3, "Concurrent modification and execution of instructions"; Simner et al., "ARMv8-A
 * system semantics: instruction fetch in relaxed architectures", ESOP 2020).
 *
 * What moves the oldest on: a line is cleaned to the point of unification (DC CVAU, complete with
 * the CPU's next DSB; not needed with CTR_EL0.IDC), then IC reaches the CPU (not needed with DIC),
 * then the CPU synchronises its context.
 *
 * Deviation: the CPU that fetches may always see what nobody has cleaned, as if evicted before.
 */

import type { Machine } from '../../machine/machine.ts';
import type { NamedMemory } from '../../memory/boot.ts';
import type { ExploreMemory } from './explore-memory.ts';

const LINE_WORDS = 16;
const LINE_SHIFT = 4;

export class TextVersions {
  readonly #memory: ExploreMemory;
  readonly #dic: boolean;
  readonly #idc: boolean;
  /** Number of the text line that a line of memory is; -1: none. */
  readonly #lineOf: Int32Array;
  readonly #count: number;
  /** Contents of each text line, oldest first; the first is as booted. */
  readonly #versions: Int32Array[][];
  /** Of each text line: the newest version that is clean to the point of unification. */
  readonly #clean: Int32Array;
  /** By CPU and text line: the oldest version in its cache; the oldest that it may execute. */
  readonly #cached: Int32Array;
  readonly #executable: Int32Array;
  /** By CPU: lines and versions of its DC CVAUs that no DSB has completed yet. */
  readonly #cleaning: number[][];
  #moved = false;

  private constructor(
    memory: ExploreMemory,
    { features }: Machine,
    cpuCount: number,
    lines: readonly number[],
  ) {
    this.#memory = memory;
    this.#dic = features.dic;
    this.#idc = features.idc;
    this.#count = lines.length;
    this.#lineOf = new Int32Array(memory.words.length >>> LINE_SHIFT).fill(-1);
    lines.forEach((line, at) => {
      this.#lineOf[line] = at;
    });
    this.#versions = lines.map((line) => [this.#now(line)]);
    this.#clean = new Int32Array(this.#count);
    this.#cached = new Int32Array(cpuCount * this.#count);
    this.#executable = new Int32Array(cpuCount * this.#count);
    this.#cleaning = Array.from({ length: cpuCount }, () => []);
  }

  /** null: nothing is declared as text. */
  static of(
    memory: ExploreMemory,
    machine: Machine,
    symbols: readonly NamedMemory[],
    cpuCount: number,
  ): TextVersions | null {
    const lines = new Set<number>();
    for (const { address, bytes, text } of symbols) {
      if (text !== true) continue;
      for (let at = address.lo & ~63; at < address.lo + bytes; at += 64) {
        const index = memory.indexOf(address.hi, at);
        if (index < memory.nowhere) lines.add(index >>> LINE_SHIFT);
      }
    }
    return lines.size === 0 ? null : new TextVersions(memory, machine, cpuCount, [...lines]);
  }

  #now(line: number): Int32Array {
    return this.#memory.words.slice(line << LINE_SHIFT, (line + 1) << LINE_SHIFT);
  }

  /** A schedule begins: memory is as booted. */
  begin(): void {
    if (!this.#moved) return;
    this.#moved = false;
    for (const versions of this.#versions) versions.length = 1;
    this.#clean.fill(0);
    this.#cached.fill(0);
    this.#executable.fill(0);
    for (const list of this.#cleaning) list.length = 0;
  }

  /** Is the word part of declared text? */
  holds(word: number): boolean {
    return this.#lineOf[word >>> LINE_SHIFT]! >= 0;
  }

  /** A step has written memory from this word on. */
  written(word: number): void {
    const line = this.#lineOf[word >>> LINE_SHIFT]!;
    if (line < 0) return;
    this.#moved = true;
    this.#versions[line]!.push(this.#now(word >>> LINE_SHIFT));
  }

  /** Number of the newest content of the line; 0: as booted. */
  newest(word: number): number {
    return this.#versions[this.#lineOf[word >>> LINE_SHIFT]!]!.length - 1;
  }

  /** How many contents of the line the CPU may execute. */
  choices(cpu: number, word: number): number {
    const line = this.#lineOf[word >>> LINE_SHIFT]!;
    return this.newest(word) - this.#executable[cpu * this.#count + line]! + 1;
  }

  wordOf(word: number, version: number): number {
    const line = this.#lineOf[word >>> LINE_SHIFT]!;
    return this.#versions[line]![version]![word & (LINE_WORDS - 1)]!;
  }

  /** DC CVAU, issued. */
  clean(cpu: number, word: number): void {
    const line = this.#lineOf[word >>> LINE_SHIFT]!;
    if (line >= 0) this.#cleaning[cpu]!.push(line, this.#versions[line]!.length - 1);
  }

  /** A DSB completes what the CPU has cleaned. */
  dsb(cpu: number): void {
    const list = this.#cleaning[cpu]!;
    for (let at = 0; at < list.length; at += 2) {
      const line = list[at]!;
      this.#clean[line] = Math.max(this.#clean[line]!, list[at + 1]!);
    }
    if (list.length > 0) list.length = 0;
    this.#moved = true;
  }

  /** IC reaches the CPU: one line (any word of it), or all (-1). */
  invalidate(cpu: number, word: number): void {
    if (word >= 0) {
      const line = this.#lineOf[word >>> LINE_SHIFT]!;
      if (line >= 0) this.#refill(cpu, line);
      return;
    }
    for (let line = 0; line < this.#count; line++) this.#refill(cpu, line);
  }

  /** What the CPU's cache takes next is at least what is clean. */
  #refill(cpu: number, line: number): void {
    const clean = this.#idc ? this.#versions[line]!.length - 1 : this.#clean[line]!;
    const at = cpu * this.#count + line;
    this.#cached[at] = Math.max(this.#cached[at]!, clean);
    this.#moved = true;
  }

  /** Context synchronisation: what was fetched before goes, what the cache holds stays. */
  synchronise(cpu: number): void {
    if (!this.#moved) return;
    if (this.#dic) this.invalidate(cpu, -1);
    const from = cpu * this.#count;
    for (let at = from; at < from + this.#count; at++) this.#executable[at] = this.#cached[at]!;
  }
}
