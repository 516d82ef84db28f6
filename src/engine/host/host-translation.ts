/**
 * Translation of one CPU of the host engine: root registers, regime, a software TLB and walk
 * caches of the machine's sizes, and what a TLBI takes from them. Tags, matching and table format
 * are those of src/translation; only time is missing.
 *
 * Without a set-up (small programs, conformance) the linear map is arithmetic and every other
 * address needs a root that the program has written itself.
 */

import { FaultKind, Regime, Register, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { packContext } from '../../translation/context.ts';
import { PERM_DIRTY_PENDING, PERM_WRITE } from '../../translation/descriptors.ts';
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
import type { StageRoot } from '../../translation/walk-port.ts';
import type { TranslationSetup } from '../virtual/spec.ts';
import type { HostMemory } from './host-memory.ts';
import { HostWalk } from './host-walk.ts';

const VA_BITS = 48;
const IPA_BITS = 40;
/** No canonical address has this high half. */
const NO_PAGE_HI = 0x7fffffff;
/** Of a combined entry, above its permissions: those of stage 1, to know which stage denies. */
const STAGE1_RIGHTS_SHIFT = 8;
/** Of a register that nobody has written: memory without bytes, so without valid descriptors. */
const NO_ROOT = { hi: -1, lo: 0 };

export class HostTranslation {
  regime: Regime = Regime.Host;
  // Result of translate().
  paHi = 0;
  paLo = 0;
  fsc = 0;
  faultInStage2 = false;
  faultOnTable = false;
  ipaHi = 0;
  ipaLo = 0;
  /** Walks made so far. */
  walks = 0;

  readonly #roots: readonly StageRoot[];
  readonly #arithmetic: boolean;
  readonly #tlb: Tlb;
  readonly #walkCache: WalkCache;
  readonly #walk: HostWalk;
  readonly #match = new TlbiMatch();
  readonly #setsDirty: boolean;
  #context = 0;
  #vmid = 0;
  #asid = 0;
  // The page used last and what may be done with it.
  #pageHi = NO_PAGE_HI;
  #pageLo = 0;
  #pagePaHi = 0;
  #pagePaLo = 0;
  #pageRights = 0;

  constructor(machine: Machine, setup: TranslationSetup | null, cpu: number, memory: HostMemory) {
    this.#arithmetic = setup === null;
    this.#tlb = new Tlb(machine.tlb2.entries, machine.tlb2.ways);
    this.#walkCache = new WalkCache(Math.max(1, machine.walkCacheEntries));
    this.#walk = new HostWalk(this.#walkCache, memory, machine.features.hafdbs);
    this.#setsDirty = machine.features.hafdbs === 'dbm';
    this.#roots = makeRoots(setup);
    const kernel = setup?.kernelRoots[cpu] ?? NO_ROOT;
    const user = setup?.userRoots[cpu] ?? NO_ROOT;
    this.setRoot(Register.Ttbr1, kernel.hi, kernel.lo, 0);
    const asids = machine.features.asidBits === 16 ? 0xffff : 0xff;
    this.setRoot(Register.Ttbr0, user.hi, user.lo, 1 + (cpu % asids));
  }

  setRoot(register: Register, hi: number, lo: number, tag: number): void {
    const root = this.#roots[register]!;
    root.hi = hi;
    root.lo = lo;
    if (register === Register.Ttbr0) this.#asid = tag;
    if (register === Register.Vttbr) this.#vmid = tag;
    this.#updateContext();
  }

  setRegime(regime: Regime): void {
    if (regime === this.regime) return;
    this.regime = regime;
    this.#updateContext();
  }

  #updateContext(): void {
    this.#pageHi = NO_PAGE_HI;
    const host = this.regime === Regime.Host;
    this.#context = host
      ? packContext(Regime.Host, 0, this.#asid)
      : packContext(Regime.Guest, this.#vmid, 0);
  }

  /** True: the physical address is in pa*. False: the fault is in fsc, faultInStage2, ipa*. */
  translate(aHi: number, aLo: number, right: number): boolean {
    if (
      this.#pageHi === aHi &&
      this.#pageLo === (aLo & ~0xfff) &&
      (this.#pageRights & right) !== 0
    ) {
      this.paHi = this.#pagePaHi;
      this.paLo = this.#pagePaLo | (aLo & 0xfff);
      return true;
    }
    if (this.#arithmetic && this.regime === Regime.Host && aHi >>> 16 === LINEAR_MAP_HI >>> 16) {
      this.paHi = aHi & 0xffff;
      this.paLo = aLo;
      return true;
    }
    return this.#lookup(aHi, aLo, right);
  }

  #lookup(aHi: number, aLo: number, right: number): boolean {
    const tlb = this.#tlb;
    const i = tlb.lookup(this.#context, aHi, aLo);
    if (i >= 0) {
      const rights = tlb.permissions(i);
      if ((rights & right) !== 0) {
        this.#use(i, aHi, aLo);
        return true;
      }
      const pending = (rights & PERM_DIRTY_PENDING) !== 0;
      if (!(right === PERM_WRITE && pending && this.#setsDirty))
        return this.#denied(i, aHi, aLo, right);
    }
    return this.#fill(aHi, aLo, right);
  }

  #use(i: number, aHi: number, aLo: number): void {
    const tlb = this.#tlb;
    this.paHi = tlb.paHi(i) | (aHi & ~tlb.maskHi(i));
    this.paLo = tlb.paLo(i) | (aLo & ~tlb.maskLo(i));
    this.#pageHi = aHi;
    this.#pageLo = aLo & ~0xfff;
    this.#pagePaHi = this.paHi;
    this.#pagePaLo = this.paLo & ~0xfff;
    this.#pageRights = tlb.permissions(i);
  }

  #fill(aHi: number, aLo: number, right: number): boolean {
    const guest = this.regime === Regime.Guest;
    const low = aHi >= 0;
    const register = guest
      ? low
        ? Register.GuestTtbr0
        : Register.GuestTtbr1
      : low
        ? Register.Ttbr0
        : Register.Ttbr1;
    const w = this.#walk;
    this.walks++;
    const stage2 = guest ? this.#roots[Register.Vttbr]! : null;
    if (!w.walk(this.#context, aHi, aLo, right, this.#roots[register]!, stage2)) {
      this.fsc = w.faultKind | w.faultLevel;
      this.faultInStage2 = w.faultInStage2;
      this.faultOnTable = w.faultOnTable;
      this.ipaHi = w.ipaHi;
      this.ipaLo = w.ipaLo;
      return false;
    }
    const i = this.#tlb.insert(
      this.#context,
      w.global,
      aHi,
      aLo,
      w.stage1Shift,
      w.stage2Shift,
      w.ipaHi,
      w.ipaLo,
      w.paHi,
      w.paLo,
      w.permissions | (w.stage1Permissions << STAGE1_RIGHTS_SHIFT),
    );
    this.#use(i, aHi, aLo);
    return true;
  }

  /** A cached entry denies the access: no walk (a stale, more restrictive one faults, too). */
  #denied(i: number, aHi: number, aLo: number, right: number): false {
    const tlb = this.#tlb;
    const stage1Rights = tlb.permissions(i) >>> STAGE1_RIGHTS_SHIFT;
    const nested = tlb.stage2Shift(i) !== 0 && (stage1Rights & right) !== 0;
    const shift = nested ? tlb.stage2Shift(i) : tlb.stage1Shift(i);
    const register = nested ? Register.Vttbr : Register.Ttbr0;
    const granuleShift = this.#roots[register]!.granule.shift;
    const level = 3 - (shift - granuleShift) / (granuleShift - 3);
    this.fsc = FaultKind.Permission | level;
    this.faultInStage2 = nested;
    this.faultOnTable = false;
    this.ipaHi = tlb.ipaHi(i) | (aHi & ~tlb.maskHi(i));
    this.ipaLo = tlb.ipaLo(i) | (aLo & ~tlb.maskLo(i));
    return false;
  }

  // ---- TLB maintenance --------------------------------------------------------------------------

  /** Tag that a TLBI of this CPU carries: VMID forms take VTTBR's, address forms the regime's. */
  contextOfTlbi(operation: Tlbi): number {
    switch (operation) {
      case Tlbi.VmallE1:
      case Tlbi.VmallE1Is:
      case Tlbi.IpaS2E1:
      case Tlbi.IpaS2E1Is:
      case Tlbi.RipaS2E1Is:
      case Tlbi.VmallS12E1Is:
        return this.#vmid === 0 ? 0 : packContext(Regime.Guest, this.#vmid, 0);
      default:
        return this.#context;
    }
  }

  invalidate(operation: Tlbi, context: number, aHi: number, aLo: number, pages: number): void {
    if (operation === Tlbi.IcIalluIs || operation === Tlbi.IcIvau) return;
    const guest = context >>> 16 !== 0;
    const regime = guest ? Regime.Guest : Regime.Host;
    const byIpa =
      operation === Tlbi.IpaS2E1 || operation === Tlbi.IpaS2E1Is || operation === Tlbi.RipaS2E1Is;
    const register = byIpa ? Register.Vttbr : guest ? Register.GuestTtbr0 : Register.Ttbr0;
    const { shift } = this.#roots[register]!.granule;
    const match = this.#match;
    match.set(operation, regime, context >>> 16, context & 0xffff, aHi, aLo, pages, shift);
    this.#tlb.invalidate(match);
    this.#walkCache.invalidate(match);
    this.#pageHi = NO_PAGE_HI;
  }
}

function makeRoots(setup: TranslationSetup | null): readonly StageRoot[] {
  const host = granuleOf(setup?.hostGranuleShift ?? GRANULE_4K.shift);
  const guest = granuleOf(setup?.guestGranuleShift ?? GRANULE_4K.shift);
  const stage2 = granuleOf(setup?.stage2GranuleShift ?? GRANULE_4K.shift);
  const ipaBits = setup?.ipaBits ?? IPA_BITS;
  const stage1Root = (granule: Granule): StageRoot => ({
    granule,
    startLevel: startLevel(granule, VA_BITS),
    inputBits: VA_BITS,
    ...NO_ROOT,
  });
  return [
    stage1Root(host),
    stage1Root(host),
    {
      granule: stage2,
      startLevel: stage2StartLevel(stage2, ipaBits),
      inputBits: ipaBits,
      ...NO_ROOT,
    },
    stage1Root(guest),
    stage1Root(guest),
  ];
}

function granuleOf(shift: number): Granule {
  if (shift === 12) return GRANULE_4K;
  return shift === 14 ? GRANULE_16K : GRANULE_64K;
}
