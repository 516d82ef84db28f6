/**
 * How an access of the virtual engine comes about. The hit path (same page as before or L1 TLB hit,
 * L1D hit) is one call without allocation; everything else goes to `#accessSlow`, which finds out
 * from the phase how far the refused attempt had come.
 *
 * The content of a line is read and written by the caller, while this CPU's cache holds the line:
 * within a window no other host thread touches it.
 */

import { LineState, RequestKind } from '../../cache/line-state.ts';
import { Counter } from '../../metrics/definition.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { InvalidatingCpu } from './cpu-invalidation.ts';
import { EMPTY_ZONE, NO_PAGE_HI, Phase, WaitFor } from './cpu-state.ts';

// Constants of this module are immediates in compiled code; imported objects are read every time.
const L1_HITS = Counter.L1Hits;
const MODIFIED = LineState.Modified;

export class AccessCpu extends InvalidatingCpu {
  /** The 32-bit word of the access just made: `zone[word]`; empty where memory has no bytes. */
  protected zone: Int32Array = EMPTY_ZONE;
  protected word = 0;
  /** What a miss of the current attempt asks for. */
  protected missKind: RequestKind = RequestKind.Write;
  /** Clock after an access that a handler skipped, or that a grant performed: every other access
   * moves the clock on, so equality tells what the access just made was. */
  protected skippedAt = -1;
  protected grantedAt = -1;
  readonly #l1Tags: Int32Array;
  readonly #l1Ways: number;
  readonly #l1SetMask: number;
  readonly #l1TagShiftHi: number;
  readonly #l1TagShiftLo: number;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    this.#l1Tags = this.l1d.tags;
    this.#l1Ways = this.l1d.ways;
    this.#l1SetMask = this.l1d.setMask;
    this.#l1TagShiftHi = 26 - this.l1d.setBits;
    this.#l1TagShiftLo = 6 + this.l1d.setBits;
  }

  /** One access; true: performed, `zone[word]` is the word. `write`: 1 needs the line exclusive. */
  protected access(aHi: number, aLo: number, write: number): boolean {
    if (
      this.clock < this.until &&
      ((aHi === this.pageHi && (aLo ^ this.pageLo) >>> 12 === 0 && write <= this.pageWritable) ||
        this.findPage(aHi, aLo, write))
    ) {
      const paHi = this.pagePaHi;
      const paLo = this.pagePaLo | (aLo & 0xfff);
      const tags = this.#l1Tags;
      const base = ((paLo >>> 6) & this.#l1SetMask) * this.#l1Ways;
      const key = ((paHi << this.#l1TagShiftHi) | (paLo >>> this.#l1TagShiftLo)) << 2;
      let entry = tags[base]!;
      // An empty way looks like the lowest tag.
      if ((entry & ~3) !== key || entry === 0) entry = this.#moveToFront(base, key);
      if ((entry & 3) > write) {
        if (write === 1) tags[base] = entry | MODIFIED;
        this.clock += this.l1LatencyPs;
        this.counters[L1_HITS] = this.counters[L1_HITS]! + 1;
        this.zone = this.pageZone;
        this.word = paLo >>> 2;
        this.accessPaHi = paHi;
        this.accessPaLo = paLo;
        if (this.witness !== null) {
          this.testifyAt(paHi, paLo, write, this.clock - this.l1LatencyPs);
        }
        return true;
      }
      this.noteAddress(aHi, aLo);
      this.accessPaHi = paHi;
      this.accessPaLo = paLo;
      return this.#accessL2(paHi, paLo, write);
    }
    return this.#accessSlow(aHi, aLo, write);
  }

  /** The way that holds the key, made most recently used; 0 (invalid) if none does. */
  #moveToFront(base: number, key: number): number {
    const tags = this.#l1Tags;
    const end = base + this.#l1Ways;
    for (let way = base + 1; way < end; way++) {
      const entry = tags[way]!;
      if ((entry & ~3) !== key || (entry & 3) === 0) continue;
      for (let at = way; at > base; at--) tags[at] = tags[at - 1]!;
      tags[base] = entry;
      return entry;
    }
    return 0;
  }

  #accessSlow(aHi: number, aLo: number, write: number): boolean {
    if (this.phaseOfAttempt === Phase.Granted) return this.#performGranted(write);
    if (this.phaseOfAttempt === Phase.Skip) {
      this.setPhase(Phase.None);
      this.clock += 1;
      this.zone = EMPTY_ZONE;
      this.skippedAt = this.clock;
      return true;
    }
    if (this.phaseOfAttempt === Phase.Translated && this.takeMark()) this.setPhase(Phase.None);
    if (this.phaseOfAttempt !== Phase.Translated) {
      if (!this.translateData(aHi, aLo, write)) return this.refuse();
    }
    if (this.clock >= this.limit) {
      this.setPhase(Phase.Translated);
      return this.refuse();
    }
    return this.#accessTranslated(write);
  }

  /** The physical address is known (accessPa*): L1D, L2, or a request to the home. */
  #accessTranslated(write: number): boolean {
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    const start = this.clock;
    if (this.l1d.touch(hi, lo) <= write) return this.#accessL2(hi, lo, write);
    if (write === 1) this.l1d.setState(this.l1d.find(hi, lo), LineState.Modified);
    this.clock += this.l1LatencyPs;
    this.counters[Counter.L1Hits] = this.counters[Counter.L1Hits]! + 1;
    this.setPhase(Phase.None);
    this.#locate(hi, lo);
    if (this.witness !== null) this.testifyAt(hi, lo, write, start);
    return true;
  }

  /** The L1D does not have the line, or not with the rights: the L2, or a request to the home. */
  #accessL2(hi: number, lo: number, write: number): boolean {
    const start = this.clock;
    const state = this.hitL2(hi, lo, write);
    if (state === LineState.Invalid) {
      this.setPhase(Phase.Translated);
      this.ask(hi, lo, write === 1 ? this.missKind : RequestKind.Read, WaitFor.Data, 0);
      return this.refuse();
    }
    this.copyToL1d(hi, lo, state);
    this.counters[Counter.L2Hits] = this.counters[Counter.L2Hits]! + 1;
    this.setPhase(Phase.None);
    this.#locate(hi, lo);
    if (this.witness !== null) this.testifyAt(hi, lo, write, start);
    return true;
  }

  /** The line that this attempt asked for is here: the access takes effect at the grant (ER-D5). */
  #performGranted(write: number): boolean {
    this.setPhase(Phase.None);
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    if (write === 1) this.l1d.setState(this.grantedWay, LineState.Modified);
    if (this.witness !== null) this.testifyAt(hi, lo, write, this.clock);
    this.clock += 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    this.grantedAt = this.clock;
    this.#locate(hi, lo);
    return true;
  }

  #locate(paHi: number, paLo: number): void {
    this.word = paLo >>> 2;
    this.zone = this.zoneOf(paHi, paLo);
  }

  protected testifyAt(paHi: number, paLo: number, write: number, atPs: number): void {
    this.witness!.access(this.id, paHi, paLo, write === 1, atPs);
    if (this.watch === null) return;
    this.watch.accessed(paHi, paLo, write === 1, atPs);
    // The next access asks the TLB again, so that every use is seen.
    this.pageHi = NO_PAGE_HI;
  }
}
