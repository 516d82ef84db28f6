/**
 * What one CPU of the explore engine keeps of translations: a TLB, walk caches and the hardware
 * walker, made on first use. The walker is the one of the virtual engine; here each descriptor that
 * it reads is a step of an agent of its own (ER-E1). Nothing is evicted in practice, so that a
 * translation stays until a TLBI reaches the CPU: that shows forgotten invalidations best.
 */

import { Regime, Register, Tlbi } from '../../cpu/operations.ts';
import type { Features } from '../../machine/machine.ts';
import type { Address } from '../../memory/physical-address.ts';
import { nodeOf } from '../../memory/physical-address.ts';
import { packContext } from '../../translation/context.ts';
import {
  GRANULE_4K,
  GRANULE_16K,
  GRANULE_64K,
  type Granule,
  stage2StartLevel,
  startLevel,
} from '../../translation/granule.ts';
import { Tlb } from '../../translation/tlb.ts';
import { TlbiMatch } from '../../translation/tlbi-match.ts';
import { WalkCache } from '../../translation/walk-cache.ts';
import type { StageRoot, WalkPort } from '../../translation/walk-port.ts';
import { Walker } from '../../translation/walker.ts';
import type { ExploreMemory } from './explore-memory.ts';

const TLB_ENTRIES = 64;
const WALK_ENTRIES = 16;
const VA_BITS = 48;
const EMPTY_ZONE = new Int32Array(0);

/** Granules (log2 of bytes) and what the registers hold at boot. */
export interface ExploreTranslation {
  readonly hostGranuleShift: number;
  readonly guestGranuleShift: number;
  readonly stage2GranuleShift: number;
  /** Input address bits of a guest's stage 2 (VTCR). */
  readonly ipaBits: number;
  /** TTBR1 and TTBR0 by CPU, physical; 0 unless given. */
  readonly kernelRoots?: readonly Address[];
  readonly userRoots?: readonly Address[];
  /**
   * Memory of each node from this offset on is translated in the linear map as elsewhere: there its
   * permissions count. Absent: none is, since boot maps all of it and nobody changes that.
   */
  readonly linearTablesFrom?: number;
}

export const USUAL_TRANSLATION: ExploreTranslation = {
  hostGranuleShift: 12,
  guestGranuleShift: 12,
  stage2GranuleShift: 12,
  ipaBits: 40,
};

export class Mmu implements WalkPort {
  readonly tlb = new Tlb(TLB_ENTRIES, 0);
  readonly walkCache = new WalkCache(WALK_ENTRIES);
  readonly walker: Walker;
  readonly roots: readonly StageRoot[];
  readonly setup: ExploreTranslation;
  readonly match = new TlbiMatch();
  /** The walker's next descriptor may be read. */
  granted = false;
  /** Where it is. */
  readHi = 0;
  readLo = 0;
  readUpdates = false;
  vmid = 0;
  context = 0;
  /** A translation was made in this schedule. */
  inUse = false;
  /** Told of each descriptor that is read. */
  onRead: ((hi: number, lo: number, update: boolean) => void) | null = null;
  #asid = 0;
  #regime: Regime = Regime.Host;
  readonly #cpu: number;
  readonly #memory: ExploreMemory;

  constructor(
    cpu: number,
    memory: ExploreMemory,
    setup: ExploreTranslation,
    hafdbs: Features['hafdbs'],
  ) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.setup = setup;
    this.walker = new Walker(this.walkCache, this, hafdbs);
    const host = granuleOf(setup.hostGranuleShift);
    const guest = granuleOf(setup.guestGranuleShift);
    const stage2 = granuleOf(setup.stage2GranuleShift);
    const hostLevel = startLevel(host, VA_BITS);
    const guestLevel = startLevel(guest, VA_BITS);
    const stage2Level = stage2StartLevel(stage2, setup.ipaBits);
    this.roots = [
      stageRoot(host, hostLevel, VA_BITS),
      stageRoot(host, hostLevel, VA_BITS),
      stageRoot(stage2, stage2Level, setup.ipaBits),
      stageRoot(guest, guestLevel, VA_BITS),
      stageRoot(guest, guestLevel, VA_BITS),
    ];
    this.reset();
  }

  /** As at boot: nothing cached. */
  reset(): void {
    if (this.inUse) {
      this.invalidate(Tlbi.AllE1Is, 0, 0, 0, 0);
      this.invalidate(Tlbi.VmallHostIs, 0, 0, 0, 0);
    }
    this.inUse = false;
    this.walker.active = false;
    this.granted = false;
    this.vmid = 0;
    this.#regime = Regime.Host;
    for (const root of this.roots) root.hi = root.lo = 0;
    const kernel = this.setup.kernelRoots?.[this.#cpu];
    const user = this.setup.userRoots?.[this.#cpu];
    if (kernel !== undefined) this.setRoot(Register.Ttbr1, kernel.hi, kernel.lo, 0);
    // One process per CPU: its ASID is the CPU's number, kept clear of the kernel's 0.
    this.setRoot(Register.Ttbr0, user?.hi ?? 0, user?.lo ?? 0, 1 + this.#cpu);
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): void {
    const root = this.roots[register]!;
    root.hi = paHi;
    root.lo = paLo;
    if (register === Register.Ttbr0) this.#asid = tag;
    if (register === Register.Vttbr) this.vmid = tag;
    this.setRegime(this.#regime);
  }

  setRegime(regime: Regime): void {
    this.#regime = regime;
    // A guest without a VMID may set its registers; it can't access memory.
    const guest = regime === Regime.Guest && this.vmid !== 0;
    this.context = packContext(
      guest ? Regime.Guest : Regime.Host,
      this.vmid,
      guest ? 0 : this.#asid,
    );
  }

  /** Tag that a TLBI of this CPU carries: VMID forms take VTTBR's, address forms the regime's. */
  contextOfTlbi(operation: Tlbi): number {
    switch (operation) {
      case Tlbi.VmallE1:
      case Tlbi.VmallE1Is:
      case Tlbi.IpaS2E1:
      case Tlbi.IpaS2E1Is:
      case Tlbi.RipaS2E1Is:
      case Tlbi.VmallS12E1Is:
        return this.vmid === 0 ? 0 : packContext(Regime.Guest, this.vmid, 0);
      default:
        return this.context;
    }
  }

  startWalk(aHi: number, aLo: number, write: boolean, instruction: boolean): void {
    const guest = this.#regime === Regime.Guest;
    const low = aHi >= 0;
    const lower = guest ? Register.GuestTtbr0 : Register.Ttbr0;
    const upper = guest ? Register.GuestTtbr1 : Register.Ttbr1;
    const root = this.roots[low ? lower : upper]!;
    const stage2 = this.roots[Register.Vttbr]!;
    this.inUse = true;
    this.granted = false;
    this.walker.start(this.context, aHi, aLo, write, instruction, guest, root, stage2);
  }

  /** What the walk found goes into the TLB. */
  fill(): void {
    const w = this.walker;
    this.tlb.insert(
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

  /** Removes what the operation takes; true: the walk under way must start over (ER-X2). */
  invalidate(operation: Tlbi, context: number, hi: number, lo: number, pages: number): boolean {
    if (operation === Tlbi.IcIalluIs || operation === Tlbi.IcIvau) return false;
    const { match, setup, walker } = this;
    const guest = context >>> 16 !== 0;
    const byIpa =
      operation === Tlbi.IpaS2E1 || operation === Tlbi.IpaS2E1Is || operation === Tlbi.RipaS2E1Is;
    const shift = guest ? setup.guestGranuleShift : setup.hostGranuleShift;
    match.set(
      operation,
      guest ? Regime.Guest : Regime.Host,
      context >>> 16,
      context & 0xffff,
      hi,
      lo,
      pages,
      byIpa ? setup.stage2GranuleShift : shift,
    );
    this.tlb.invalidate(match);
    this.walkCache.invalidate(match);
    if (!walker.active) return false;
    const { vaHi, vaLo, topShift, lowShift } = walker;
    return match.matchesWalk(walker.context, vaHi, vaLo, topShift, lowShift);
  }

  // ---- the walker's port ----------------------------------------------------------------------

  walkRead(paHi: number, paLo: number, write: number): boolean {
    if (!this.granted) {
      this.readHi = paHi;
      this.readLo = paLo;
      this.readUpdates = write === 1;
      return false;
    }
    this.granted = false;
    if (write === 1) this.#memory.expectWrite(this.#memory.indexOf(paHi, paLo));
    this.onRead?.(paHi, paLo, write === 1);
    return true;
  }

  zoneOf(paHi: number, paLo: number): Int32Array {
    if (this.#memory.indexOf(paHi, paLo) >= this.#memory.nowhere) return EMPTY_ZONE;
    return this.#memory.zones[nodeOf(paHi)]!;
  }
}

function stageRoot(granule: Granule, level: number, inputBits: number): StageRoot {
  return { granule, startLevel: level, inputBits, hi: 0, lo: 0 };
}

function granuleOf(shift: number): Granule {
  if (shift === 12) return GRANULE_4K;
  return shift === 14 ? GRANULE_16K : GRANULE_64K;
}
