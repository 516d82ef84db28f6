/**
 * Instruction fetch: the line that the CPU already executes, else instruction TLB, L1I, L2, home. A
 * fetch returns the word that the instruction side sees, which may be older than memory (section 3,
 * "Instructions", of the README; Arm ARM DDI 0487 B2.3, "Concurrent modification and execution of
 * instructions").
 */

import { LineState, RequestKind } from '../../cache/line-state.ts';
import { Counter } from '../../metrics/definition.ts';
import { AccessCpu } from './cpu-access.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { NO_PAGE_HI, Phase, WaitFor } from './cpu-state.ts';

const FETCHES = Counter.Fetches;
const LINE_WORDS = 16;
const NO_WORDS = new Int32Array(LINE_WORDS);

export class FetchingCpu extends AccessCpu {
  // Words of the line fetched last: the copy in the L1I, which stays until the next fill, or, with
  // a coherent one, memory while the line is held, then what it was when it was lost.
  #words: Int32Array = NO_WORDS;
  #at = 0;
  readonly #lost = new Int32Array(LINE_WORDS);
  readonly #l1iLatencyPs: number;
  readonly #tags: Int32Array;
  readonly #slots: Int32Array;
  readonly #coherent: boolean;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    this.#l1iLatencyPs = environment.machine.l1i.latencyPs;
    this.#tags = this.l1i.tags;
    this.#slots = this.l1i.slots;
    this.#coherent = this.coherentText;
  }

  fetch(aHi: number, aLo: number): boolean {
    if (this.clock < this.until) {
      if (aHi === this.fetchedHi && (aLo ^ this.fetchedLo) >>> 6 === 0) {
        if (this.witness !== null) this.#testify();
        this.watch?.text.executed(this.clock);
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
          this.#useLine(aHi, aLo, hi, lo, this.textPageZone);
          return this.#performed(aLo);
        }
      }
    }
    return this.#fetchSlow(aHi, aLo);
  }

  /** The CPU executes the line, which is the one used last in its set of the L1I. */
  #useLine(aHi: number, aLo: number, hi: number, lo: number, zone: Int32Array): void {
    this.fetchedHi = aHi;
    this.fetchedLo = aLo;
    if (!this.#coherent) {
      this.#words = this.l1i.words;
      this.#at = this.#slots[this.l1i.baseOf(lo)]!;
    } else if (zone.length === 0) {
      this.#words = NO_WORDS;
      this.#at = 0;
    } else {
      this.liveHi = hi;
      this.liveLo = lo;
      this.#words = zone;
      this.#at = (lo & ~63) >>> 2;
    }
  }

  protected override freezeFetched(): void {
    super.freezeFetched();
    this.watch?.text.freezes(this.clock);
    for (let i = 0; i < LINE_WORDS; i++) this.#lost[i] = this.#words[this.#at + i]!;
    this.#words = this.#lost;
    this.#at = 0;
  }

  /** A word of the line fetched last is executed. */
  #performed(aLo: number): boolean {
    this.counters[FETCHES] = this.counters[FETCHES]! + 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    this.lo = this.#words[this.#at + ((aLo >>> 2) & 15)]!;
    this.hi = 0;
    return true;
  }

  /** For the witness: memory is read as it is now. */
  #testify(): void {
    if (this.liveHi === NO_PAGE_HI) return;
    this.witness!.access(this.id, this.liveHi, this.liveLo, false, this.clock);
  }

  #fetchSlow(aHi: number, aLo: number): boolean {
    if (this.phaseOfAttempt === Phase.Skip) return this.#skip();
    if (this.phaseOfAttempt === Phase.Granted) {
      this.setPhase(Phase.None);
      return this.#arrive(aHi, aLo, 1);
    }
    if (this.phaseOfAttempt === Phase.Translated && this.takeMark()) this.setPhase(Phase.None);
    if (this.phaseOfAttempt !== Phase.Translated && !this.translateFetch(aHi, aLo)) {
      return this.refuse();
    }
    this.setPhase(Phase.Translated);
    if (this.clock >= this.limit) return this.refuse();
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    let latencyPs = this.#l1iLatencyPs;
    if (this.l1i.touch(hi, lo) === LineState.Invalid) {
      this.counters[Counter.L1iMisses] = this.counters[Counter.L1iMisses]! + 1;
      const start = this.clock;
      if (this.hitL2(hi, lo, 0) === LineState.Invalid) {
        this.counters[Counter.FetchL2Misses] = this.counters[Counter.FetchL2Misses]! + 1;
        this.ask(hi, lo, RequestKind.Fetch, WaitFor.Fetch, 0);
        return this.refuse();
      }
      latencyPs = this.clock - start;
      this.clock = start;
      this.copyToL1i(hi, lo);
    }
    this.setPhase(Phase.None);
    return this.#arrive(aHi, aLo, latencyPs);
  }

  /** The line at accessPa* is in the L1I. */
  #arrive(aHi: number, aLo: number, latencyPs: number): boolean {
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    this.#useLine(aHi, aLo, hi, lo, this.zoneOf(hi, lo));
    if (this.witness !== null) {
      this.#testify();
      this.watch?.text.begins(hi, lo, this.liveHi !== NO_PAGE_HI);
      this.watch?.text.executed(this.clock);
      // With the witness on, every fetch of another line comes this way.
      this.textPageHi = NO_PAGE_HI;
    }
    this.clock += latencyPs;
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
