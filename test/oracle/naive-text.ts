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
  #executes: {
    readonly line: number;
    /** Physical line; its words are memory's until they are frozen (words). */
    readonly physical: number;
    words: readonly number[] | null;
  } | null = null;

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
    let cost = this.machine.l1i.latencyPs;
    if (this.#executes?.line !== lineOf(va)) {
      const found = yield* this.#line(aHi, aLo);
      if (found === null) return false;
      cost = found.cost;
      const copy = this.l1i.use(found.physical)!;
      const words = this.machine.features.dic ? null : copy;
      this.#executes = { line: lineOf(va), physical: found.physical, words };
    }
    const { physical, words } = this.#executes;
    this.lo = (words ?? this.wordsOf(physical))[(aLo >>> 2) & 15]!;
    this.hi = 0;
    this.clock += cost;
    return this.#fetched();
  }

  /** Brings the line into the L1I by way of the TLBs and caches; null: it faulted. */
  *#line(aHi: number, aLo: number): Micro<{ physical: number; cost: number } | null> {
    for (;;) {
      const pa = yield* this.translated(aHi, aLo, 'fetch');
      if (pa === null) return null;
      const physical = lineOf(pa);
      if (this.l1i.has(physical)) return { physical, cost: this.machine.l1i.latencyPs };
      this.count(Counter.L1iMisses, 1);
      if (this.l2.use(physical) !== Mesi.Invalid) {
        this.l1i.add(physical, this.wordsOf(physical));
        return { physical, cost: this.machine.l2.latencyPs };
      }
      this.count(Counter.FetchL2Misses, 1);
      this.ask(pa, 'fetch', 'text');
      yield 'line';
      if (this.takeMark()) continue;
      return { physical, cost: 1 };
    }
  }

  /** A line goes from the L1I; what is being executed stays as it is now. */
  protected override dropText(line: number): void {
    this.l1i.drop(line);
    const executed = this.#executes;
    if (executed?.physical === line) executed.words ??= this.wordsOf(line);
  }

  protected dropAllText(): void {
    this.l1i.clear();
    const executed = this.#executes;
    if (executed !== null) executed.words ??= this.wordsOf(executed.physical);
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
