/**
 * Translation in a CPU: L1 and L2 TLBs and the walker.
 *
 * The hit path asks `page*`, a copy of the TLB entry used last cut to one 4 KiB page; it is dropped
 * whenever that entry may be gone. A TLBI that matches the walk or the access under way marks it: a
 * marked walk starts over and never fills (ER-X2), a marked access translates again (ER-X3).
 */

import { LineState, RequestKind } from '../../cache/line-state.ts';
import { FaultKind, Regime, Register } from '../../cpu/operations.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import {
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
} from '../../translation/descriptors.ts';
import type { Tlb } from '../../translation/tlb.ts';
import type { WalkCache } from '../../translation/walk-cache.ts';
import { Walker, WalkResult } from '../../translation/walker.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { RegimeCpu } from './cpu-regime.ts';
import { EMPTY_ZONE, NO_PAGE_HI, Phase, WaitFor } from './cpu-state.ts';
import { makeTranslationArrays } from './translation-arrays.ts';

// Pages used lately: a direct-mapped copy of L1 TLB entries cut to 4 KiB, eight words a slot.
const SLOT_MASK = 63;
const SLOT_SHIFT = 3;
const SLOT_PAGE_LO = 0;
const SLOT_PAGE_HI = 1;
const SLOT_CONTEXT = 2;
const SLOT_GENERATION = 3;
/** Index in the L1 TLB [15:0], log2 of what stage 1 maps above: a hit reads one host line. */
const SLOT_ENTRY = 4;
const ENTRY_BITS = 16;
const SLOT_WRITABLE = 5;
const SLOT_PA_HI = 6;
const SLOT_PA_LO = 7;

/** As pageWritable: the page is not in the L1 TLB, so that one access asks it once. */
const MISSING = -1;

export class TranslatingCpu extends RegimeCpu {
  // The page used last.
  protected pageLo = 0;
  protected pagePaHi = 0;
  protected pagePaLo = 0;
  protected pageWritable = 0;
  /** log2 of what the stage-1 leaf behind it covers. */
  protected pageShift = 12;
  protected pageZone: Int32Array = EMPTY_ZONE;
  readonly #slots = new Int32Array((SLOT_MASK + 1) << SLOT_SHIFT).fill(NO_PAGE_HI);
  readonly #slotZones: Int32Array[] = new Array(SLOT_MASK + 1).fill(EMPTY_ZONE);
  /** Physical address of the access under way. */
  protected accessPaHi = 0;
  protected accessPaLo = 0;
  readonly dtlb: Tlb;
  readonly itlb: Tlb;
  readonly tlb2: Tlb;
  readonly walkCache: WalkCache;
  protected readonly walker: Walker;
  protected walkLineHere = false;
  protected marked = false;
  protected accessVaHi = 0;
  protected accessVaLo = 0;
  /** log2 of what the stage-1 leaf behind the access covers. */
  protected accessShift = 12;
  #walkStartPs = 0;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    const { machine } = environment;
    const arrays = makeTranslationArrays(machine, this.watch);
    this.dtlb = arrays.dtlb;
    this.itlb = arrays.itlb;
    this.tlb2 = arrays.tlb2;
    this.walkCache = arrays.walkCache;
    this.walker = new Walker(this.walkCache, this, machine.features.hafdbs);
  }

  /** L1 TLB hit with the right to read or write: the page becomes the one used last. */
  protected findPage(aHi: number, aLo: number, write: number): boolean {
    const slots = this.#slots;
    const at = ((aLo >>> 12) & SLOT_MASK) << SLOT_SHIFT;
    if (
      slots[at + SLOT_PAGE_LO] === (aLo & ~0xfff) &&
      slots[at + SLOT_PAGE_HI] === aHi &&
      slots[at + SLOT_CONTEXT] === this.context &&
      slots[at + SLOT_GENERATION] === this.dtlb.generation &&
      slots[at + SLOT_WRITABLE]! >= write
    ) {
      const entry = slots[at + SLOT_ENTRY]!;
      this.dtlb.touch(entry & 0xffff);
      this.pageShift = entry >> ENTRY_BITS;
      this.pageHi = aHi;
      this.pageLo = aLo & ~0xfff;
      this.pagePaHi = slots[at + SLOT_PA_HI]!;
      this.pagePaLo = slots[at + SLOT_PA_LO]!;
      this.pageWritable = slots[at + SLOT_WRITABLE]!;
      this.pageZone = this.#slotZones[at >> SLOT_SHIFT]!;
      return true;
    }
    if (this.#isMissing(aHi, aLo)) return false;
    const i = this.dtlb.lookup(this.context, aHi, aLo);
    if (i < 0) {
      this.pageHi = aHi;
      this.pageLo = aLo & ~0xfff;
      this.pageWritable = MISSING;
      return false;
    }
    const right = write === 1 ? PERM_WRITE : PERM_READ;
    if ((this.dtlb.permissions(i) & right) === 0) return false;
    this.#usePage(i, aHi, aLo);
    return true;
  }

  /** Is the page known to miss the L1 TLB? */
  #isMissing(aHi: number, aLo: number): boolean {
    if (this.pageWritable !== MISSING || this.pageHi !== aHi) return false;
    return (aLo ^ this.pageLo) >>> 12 === 0;
  }

  #usePage(i: number, aHi: number, aLo: number): void {
    const { dtlb } = this;
    const offsetLo = aLo & ~dtlb.maskLo(i);
    this.pageHi = aHi;
    this.pageLo = aLo & ~0xfff;
    this.pagePaHi = dtlb.paHi(i) | (aHi & ~dtlb.maskHi(i));
    this.pagePaLo = dtlb.paLo(i) | (offsetLo & ~0xfff);
    this.pageShift = dtlb.stage1Shift(i);
    this.pageWritable = (dtlb.permissions(i) & PERM_WRITE) !== 0 ? 1 : 0;
    this.pageZone = this.zoneOf(this.pagePaHi, this.pagePaLo);
    this.#keepSlot(i);
  }

  /** Remembers the page used last for findPage; valid while the L1 TLB loses nothing. */
  #keepSlot(entry: number): void {
    const slots = this.#slots;
    const slot = (this.pageLo >>> 12) & SLOT_MASK;
    const at = slot << SLOT_SHIFT;
    slots[at + SLOT_PAGE_LO] = this.pageLo;
    slots[at + SLOT_PAGE_HI] = this.pageHi;
    slots[at + SLOT_CONTEXT] = this.context;
    slots[at + SLOT_GENERATION] = this.dtlb.generation;
    slots[at + SLOT_ENTRY] = entry | (this.pageShift << ENTRY_BITS);
    slots[at + SLOT_WRITABLE] = this.pageWritable;
    slots[at + SLOT_PA_HI] = this.pagePaHi;
    slots[at + SLOT_PA_LO] = this.pagePaLo;
    this.#slotZones[slot] = this.pageZone;
  }

  #useAddress(aLo: number): void {
    this.accessPaHi = this.pagePaHi;
    this.accessPaLo = this.pagePaLo | (aLo & 0xfff);
    this.accessShift = this.pageShift;
  }

  /**
   * Translates a data access into accessPa*. False: time is up, a descriptor is on its way, or an
   * exception was taken; the attempt is to be repeated.
   */
  protected translateData(aHi: number, aLo: number, write: number): boolean {
    this.accessVaHi = aHi;
    this.accessVaLo = aLo;
    this.marked = false;
    if (!this.walker.active) {
      if (this.clock >= this.limit) return false;
      if (this.findPage(aHi, aLo, write)) {
        this.#useAddress(aLo);
        return true;
      }
      const found = this.#isMissing(aHi, aLo)
        ? this.#lookupSecond(aHi, aLo, this.dtlb)
        : this.dtlb.lookup(this.context, aHi, aLo);
      if (found >= 0 && this.#allowed(found, write)) {
        this.#usePage(found, aHi, aLo);
        this.#useAddress(aLo);
        return true;
      }
      if (found >= 0 && !this.#dirtyPending(found, write)) {
        this.#permissionFault(this.dtlb, found, aHi, aLo, write === 1, false);
        return false;
      }
      this.#startWalk(aHi, aLo, write === 1, false, Counter.DtlbMisses);
    }
    if (!this.#continueWalk(this.dtlb)) return false;
    this.#usePage(this.#filled, aHi, aLo);
    this.#useAddress(aLo);
    return true;
  }
  #filled = 0;

  /** Index in the L1 TLB, which misses, after asking the L2 TLB; or -1. */
  #lookupSecond(aHi: number, aLo: number, l1: Tlb): number {
    this.count(l1 === this.dtlb ? Counter.DtlbL1Misses : Counter.ItlbL1Misses, 1);
    const second = this.tlb2.lookup(this.context, aHi, aLo);
    if (second < 0) return -1;
    this.clock += this.machine.tlb2.penaltyPs;
    this.pageHi = NO_PAGE_HI;
    this.textPageHi = NO_PAGE_HI;
    return l1.insertCopy(this.tlb2, second);
  }

  #allowed(i: number, write: number): boolean {
    const right = write === 1 ? PERM_WRITE : PERM_READ;
    return (this.dtlb.permissions(i) & right) !== 0;
  }

  /** The walker may set the dirty state of this entry's descriptor. */
  #dirtyPending(i: number, write: number): boolean {
    if (write === 0 || this.machine.features.hafdbs !== 'dbm') return false;
    return (this.dtlb.permissions(i) & PERM_DIRTY_PENDING) !== 0;
  }

  #startWalk(
    aHi: number,
    aLo: number,
    write: boolean,
    instruction: boolean,
    counter: number,
  ): void {
    this.counters[counter] = this.counters[counter]! + 1;
    this.#walkStartPs = this.clock;
    const guest = this.regime === Regime.Guest;
    const low = aHi >= 0;
    const register = guest
      ? low
        ? Register.GuestTtbr0
        : Register.GuestTtbr1
      : low
        ? Register.Ttbr0
        : Register.Ttbr1;
    this.walker.start(
      this.context,
      aHi,
      aLo,
      write,
      instruction,
      guest,
      this.roots[register]!,
      this.roots[Register.Vttbr]!,
    );
    const outermost = this.roots[guest ? Register.Vttbr : register]!;
    this.watch?.translations.walkStarts(outermost.hi, outermost.lo);
  }

  /** True: the walk is done and its entry is in `l1` and the L2 TLB, index in #filled. */
  #continueWalk(l1: Tlb): boolean {
    const walker = this.walker;
    if (walker.marked) {
      this.walkLineHere = false;
      walker.restart();
      const { hi, lo } = walker.outermostRoot;
      this.watch?.translations.walkStarts(hi, lo);
    }
    const result = walker.run();
    if (result === WalkResult.Blocked) {
      this.setPhase(Phase.Walk);
      return false;
    }
    this.setPhase(Phase.None);
    this.record(Metric.PageWalk, this.clock - this.#walkStartPs);
    if (result === WalkResult.Fault) {
      this.#walkFault();
      return false;
    }
    this.pageHi = NO_PAGE_HI;
    this.textPageHi = NO_PAGE_HI;
    this.#filled = this.#insert(l1);
    this.#insert(this.tlb2);
    return true;
  }

  /** What the walk has found; returns its index. */
  #insert(tlb: Tlb): number {
    const w = this.walker;
    return tlb.insert(
      w.context,
      w.global,
      w.vaHi,
      w.vaLo,
      w.stage1Shift,
      w.stage2Shift,
      w.ipaHi,
      w.ipaLo,
      w.paHi,
      w.paLo,
      w.permissions,
    );
  }

  // ---- the walker's port ----------------------------------------------------------------------

  walkRead(paHi: number, paLo: number, write: number): boolean {
    if (this.walkLineHere) {
      this.walkLineHere = false;
      if (write === 1) this.l2.setState(this.l2.find(paHi, paLo), LineState.Modified);
      this.#noteWalkRead(paHi, paLo, write, this.clock);
      this.clock = Math.max(this.clock + 1, this.stallUntil);
      return true;
    }
    if (this.clock >= this.limit) return false;
    const start = this.clock;
    if (this.hitL2(paHi, paLo, write) !== LineState.Invalid) {
      this.#noteWalkRead(paHi, paLo, write, start);
      return true;
    }
    this.ask(paHi, paLo, write === 1 ? RequestKind.Write : RequestKind.Read, WaitFor.Walk, 0);
    return false;
  }

  #noteWalkRead(paHi: number, paLo: number, write: number, atPs: number): void {
    this.counters[Counter.WalkReads] = this.counters[Counter.WalkReads]! + 1;
    const { witness } = this.environment;
    if (witness !== null) witness.access(this.id, paHi, paLo, write === 1, atPs);
    this.watch?.tableRead(paHi, paLo, this.walker.readsStage2, atPs);
  }

  /** The descriptor that the walker asked for is granted. */
  protected walkLineIsHere(): void {
    this.walkLineHere = true;
  }

  protected walkIsInterruptible(): boolean {
    return this.phaseOfAttempt === Phase.Walk && !this.walkLineHere;
  }

  /** An interrupt drops a half-made walk; the repeated attempt starts another. */
  protected abandonWalk(): void {
    this.walker.active = false;
  }

  // ---- faults ---------------------------------------------------------------------------------

  #walkFault(): void {
    const w = this.walker;
    const e = this.exception;
    e.write = w.write;
    e.instruction = w.instruction;
    e.stage1Walk = w.faultOnTable;
    this.raise(w.faultKind | w.faultLevel, w.vaHi, w.vaLo, w.faultInStage2, w.ipaHi, w.ipaLo);
  }

  /**
   * A cached entry denies the access: no walk is made (a stale, more restrictive one faults too).
   */
  #permissionFault(
    tlb: Tlb,
    i: number,
    aHi: number,
    aLo: number,
    write: boolean,
    instruction: boolean,
  ): void {
    const e = this.exception;
    e.write = write;
    e.instruction = instruction;
    e.stage1Walk = false;
    const nested = tlb.stage2Shift(i) !== 0;
    const shift = nested ? tlb.stage2Shift(i) : tlb.stage1Shift(i);
    const granuleShift = nested ? this.stage2GranuleShift : this.hostGranuleShift;
    const level = 3 - (shift - granuleShift) / (granuleShift - 3);
    const ipaHi = tlb.ipaHi(i) | (aHi & ~tlb.maskHi(i));
    const ipaLo = tlb.ipaLo(i) | (aLo & ~tlb.maskLo(i));
    this.raise(FaultKind.Permission | level, aHi, aLo, nested, ipaHi, ipaLo);
  }

  // ---- instruction side and address translation operations -------------------------------------

  /** Translates an instruction fetch into accessPa*; as translateData. */
  protected translateFetch(aHi: number, aLo: number): boolean {
    this.accessVaHi = aHi;
    this.accessVaLo = aLo;
    this.marked = false;
    let found = -1;
    if (!this.walker.active) {
      if (this.clock >= this.limit) return false;
      found = this.itlb.lookup(this.context, aHi, aLo);
      if (found < 0) found = this.#lookupSecond(aHi, aLo, this.itlb);
      if (found >= 0 && (this.itlb.permissions(found) & PERM_EXEC) === 0) {
        this.#permissionFault(this.itlb, found, aHi, aLo, false, true);
        return false;
      }
      if (found < 0) this.#startWalk(aHi, aLo, false, true, Counter.ItlbMisses);
    }
    if (found < 0) {
      if (!this.#continueWalk(this.itlb)) return false;
      found = this.#filled;
    }
    this.accessShift = this.itlb.stage1Shift(found);
    this.accessPaHi = this.itlb.paHi(found) | (aHi & ~this.itlb.maskHi(found));
    this.accessPaLo = this.itlb.paLo(found) | (aLo & ~this.itlb.maskLo(found));
    this.textPageHi = aHi;
    this.textPageLo = aLo;
    this.textPagePaHi = this.accessPaHi;
    this.textPagePaLo = this.accessPaLo & ~0xfff;
    this.textPageZone = this.zoneOf(this.accessPaHi, this.accessPaLo);
    return true;
  }
}
