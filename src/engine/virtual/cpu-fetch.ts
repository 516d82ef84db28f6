/**
 * Instruction fetch: the line that the CPU already executes, else instruction TLB, L1I, L2, home. A
 * fetch returns the word that the instruction side sees, which may be older than memory (rule 18 of
 * the README; Arm ARM DDI 0487 B2.3 "Concurrent modification and execution of instructions").
 */

import { LineState, RequestKind } from '../../cache/line-state.ts';
import { Counter } from '../../metrics/definition.ts';
import { AccessCpu } from './cpu-access.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { NO_PAGE_HI, Phase, WaitFor } from './cpu-state.ts';

const FETCHES = Counter.Fetches;

export class FetchingCpu extends AccessCpu {
  // Where the words of the line fetched last are; the L1I leaves them until the next fill.
  #words: Int32Array;
  #at = 0;
  readonly #l1iLatencyPs: number;
  readonly #tags: Int32Array;
  readonly #slots: Int32Array;
  readonly #coherent: boolean;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    this.#l1iLatencyPs = environment.machine.l1i.latencyPs;
    this.#words = this.l1i.words;
    this.#tags = this.l1i.tags;
    this.#slots = this.l1i.slots;
    this.#coherent = this.coherentText;
  }

  fetch(aHi: number, aLo: number): boolean {
    if (this.clock < this.until) {
      if (aHi === this.fetchedHi && (aLo ^ this.fetchedLo) >>> 6 === 0) {
        this.clock += this.#l1iLatencyPs;
        return this.#performed(aLo);
      }
      if (aHi === this.textPageHi && (aLo ^ this.textPageLo) >>> 12 === 0) {
        const hi = this.textPagePaHi;
        const lo = this.textPagePaLo | (aLo & 0xfff);
        const { l1i } = this;
        const base = l1i.baseOf(lo);
        const entry = this.#tags[base]!;
        const hit = (entry & ~3) === l1i.keyOf(hi, lo) && entry !== 0;
        if (hit || l1i.touch(hi, lo) !== LineState.Invalid) {
          this.clock += this.#l1iLatencyPs;
          this.#words = l1i.words;
          if (this.#coherent) l1i.copy(lo, this.textPageZone);
          this.#at = this.#slots[base]!;
          this.fetchedHi = aHi;
          this.fetchedLo = aLo;
          return this.#performed(aLo);
        }
      }
    }
    return this.#fetchSlow(aHi, aLo);
  }

  /** The line that holds the word is fetched. */
  #performed(aLo: number): boolean {
    this.counters[FETCHES] = this.counters[FETCHES]! + 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    this.lo = this.#words[this.#at + ((aLo >>> 2) & 15)]!;
    this.hi = 0;
    return true;
  }

  #fetchSlow(aHi: number, aLo: number): boolean {
    if (this.phaseOfAttempt === Phase.Skip) return this.#skip();
    if (this.phaseOfAttempt === Phase.Granted) {
      this.setPhase(Phase.None);
      this.clock += 1;
      return this.#useLine(aHi, aLo);
    }
    if (this.phaseOfAttempt === Phase.Translated && this.takeMark()) this.setPhase(Phase.None);
    if (this.phaseOfAttempt !== Phase.Translated && !this.translateFetch(aHi, aLo)) {
      return this.refuse();
    }
    this.setPhase(Phase.Translated);
    if (this.clock >= this.limit) return this.refuse();
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    if (this.l1i.touch(hi, lo) !== LineState.Invalid) {
      this.clock += this.#l1iLatencyPs;
      if (this.#coherent) this.#readAgain(hi, lo);
    } else {
      this.counters[Counter.L1iMisses] = this.counters[Counter.L1iMisses]! + 1;
      const start = this.clock;
      if (this.hitL2(hi, lo, 0) === LineState.Invalid) {
        this.counters[Counter.FetchL2Misses] = this.counters[Counter.FetchL2Misses]! + 1;
        this.ask(hi, lo, RequestKind.Fetch, WaitFor.Fetch, 0);
        return this.refuse();
      }
      this.copyToL1i(hi, lo, start);
    }
    this.setPhase(Phase.None);
    return this.#useLine(aHi, aLo);
  }

  /** A coherent L1I hit sees memory as it is; the L2 holds the line. */
  #readAgain(hi: number, lo: number): void {
    this.l1i.copy(lo, this.zoneOf(hi, lo));
    this.witness?.access(this.id, hi, lo, false, this.clock - this.#l1iLatencyPs);
  }

  /** The line at accessPa* is the one used last in its set of the L1I. */
  #useLine(aHi: number, aLo: number): boolean {
    this.#words = this.l1i.words;
    this.#at = this.#slots[this.l1i.baseOf(this.accessPaLo)]!;
    this.fetchedHi = aHi;
    this.fetchedLo = aLo;
    // With the witness on, every fetch of another line comes this way.
    if (this.witness !== null) this.textPageHi = NO_PAGE_HI;
    return this.#performed(aLo);
  }

  #skip(): boolean {
    this.setPhase(Phase.None);
    this.clock += 1;
    this.counters[FETCHES] = this.counters[FETCHES]! + 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    this.lo = 0;
    this.hi = 0;
    return true;
  }
}
