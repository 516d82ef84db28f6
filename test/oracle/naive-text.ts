/**
 * The instruction side of a CPU of the naive engine, and operations on whole lines and pages: each
 * one sequential program, after rules 15 to 18 of src/engine/virtual/README.md.
 */

import { Cost } from '../../src/machine/costs.ts';
import { Counter } from '../../src/metrics/definition.ts';
import { LINE_BYTES, Mesi } from './naive-cache.ts';
import { lineOf, NaiveMemory } from './naive-memory.ts';
import { addressNumber } from './naive-translation.ts';
import type { Micro } from './naive-walk.ts';

export abstract class NaiveText extends NaiveMemory {
  /** What the CPU executes: the line fetched last, by virtual address. */
  #executes: { readonly line: number; readonly words: readonly number[] } | null = null;

  protected override synchronise(): void {
    this.#executes = null;
  }

  fetch(aHi: number, aLo: number): boolean {
    return this.attempt(() => this.#fetch(aHi, aLo));
  }

  *#fetch(aHi: number, aLo: number): Micro<boolean> {
    this.hi = 0;
    if (this.takeSkip()) {
      this.clock += 1;
      this.lo = 0;
      return this.#fetched();
    }
    yield* this.moment();
    const va = addressNumber(aHi, aLo);
    if (this.#executes?.line !== lineOf(va)) {
      const words = yield* this.#line(aHi, aLo);
      if (words === null) return false;
      this.#executes = { line: lineOf(va), words };
    } else {
      this.clock += this.machine.l1i.latencyPs;
    }
    this.lo = this.#executes.words[(aLo >>> 2) & 15]!;
    this.hi = 0;
    return this.#fetched();
  }

  /** The words of a line by way of the TLBs and caches; null: it faulted. */
  *#line(aHi: number, aLo: number): Micro<readonly number[] | null> {
    for (;;) {
      const pa = yield* this.translated(aHi, aLo, 'fetch');
      if (pa === null) return null;
      const line = lineOf(pa);
      const copy = this.l1i.use(line);
      if (copy !== undefined) {
        const words = this.machine.features.dic ? this.wordsOf(line) : copy;
        this.clock += this.machine.l1i.latencyPs;
        return words;
      }
      this.count(Counter.L1iMisses, 1);
      if (this.hitSecondLevel(pa, false)) {
        this.l1i.add(line, this.wordsOf(line));
        return this.wordsOf(line);
      }
      this.count(Counter.FetchL2Misses, 1);
      this.ask(pa, 'fetch', 'text');
      yield 'line';
      if (this.takeMark()) continue;
      this.clock += 1;
      return this.wordsOf(line);
    }
  }

  #fetched(): true {
    this.count(Counter.Fetches, 1);
    this.clock = Math.max(this.clock, this.stallUntil);
    return true;
  }

  cleanLineToPou(aHi: number, aLo: number): boolean {
    return this.attempt(() => this.#clean(aHi, aLo));
  }

  *#clean(aHi: number, aLo: number): Micro<boolean> {
    if (this.takeSkip()) {
      this.clock += 1;
      return true;
    }
    for (;;) {
      const pa = yield* this.translated(aHi, aLo, 'read');
      if (pa === null) return false;
      const line = lineOf(pa);
      if (this.hitSecondLevel(pa, false)) {
        if (this.l1d.state(line) === Mesi.Modified) {
          this.l1d.change(line, Mesi.Exclusive);
          this.l2.change(line, Mesi.Modified);
        }
        this.spend(Cost.CleanInvalidateLine);
        return true;
      }
      this.ask(pa, 'read', 'nothing');
      yield 'line';
      if (this.takeMark()) continue;
      this.spend(Cost.CleanInvalidateLine);
      this.clock = Math.max(this.clock, this.stallUntil);
      return true;
    }
  }

  /** IC IVAU up to its physical line; null: it faulted; -1: a handler skipped it. */
  protected *textLine(aHi: number, aLo: number): Micro<number | null> {
    if (this.takeSkip()) {
      this.clock += 1;
      return -1;
    }
    const pa = yield* this.translated(aHi, aLo, 'read');
    return pa === null ? null : lineOf(pa);
  }

  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    return this.attempt(() => this.#whole(aHi, aLo, 0, Cost.CleanInvalidateLine));
  }
  zeroPage(aHi: number, aLo: number, bytes: number): boolean {
    return this.attempt(() => this.#whole(aHi, aLo, bytes, Cost.ZeroLine));
  }
  copyPage(dHi: number, dLo: number, _sHi: number, _sLo: number, bytes: number): boolean {
    return this.attempt(() => this.#whole(dHi, dLo, bytes, Cost.CopyLine));
  }
  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean {
    return this.attempt(() => this.#whole(aHi, aLo, bytes, Cost.CleanInvalidateLine));
  }

  /** An operation that always goes to the home: a page of `bytes`, or the flush of one line (0). */
  *#whole(aHi: number, aLo: number, bytes: number, costPerLine: Cost): Micro<boolean> {
    if (this.takeSkip()) {
      this.clock += 1;
      return true;
    }
    for (;;) {
      const pa = yield* this.translated(aHi, aLo, 'write');
      if (pa === null) return false;
      if (bytes === 0) {
        this.l1d.drop(lineOf(pa));
        this.l2.drop(lineOf(pa));
        this.leaves(lineOf(pa));
      }
      this.ask(pa, bytes === 0 ? 'flush' : 'page', 'nothing', bytes);
      yield 'line';
      if (this.takeMark()) continue;
      this.spendMany(costPerLine, bytes === 0 ? 1 : bytes / LINE_BYTES);
      this.clock = Math.max(this.clock, this.stallUntil);
      return true;
    }
  }
}
