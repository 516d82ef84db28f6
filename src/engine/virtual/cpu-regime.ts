/**
 * Translation registers of a CPU: the roots (TTBR0, TTBR1, VTTBR, the guest's own), the regime, the
 * tag that its TLB entries carry, and how a fault becomes an exception.
 */

import type { Exception } from '../../cpu/operations.ts';
import { Level, Regime, Register } from '../../cpu/operations.ts';
import { packContext } from '../../translation/context.ts';
import {
  GRANULE_4K,
  GRANULE_16K,
  GRANULE_64K,
  type Granule,
  stage2StartLevel,
  startLevel,
} from '../../translation/granule.ts';
import type { StageRoot } from '../../translation/walk-port.ts';
import { CachedCpu } from './cpu-cache.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { EMPTY_ZONE, NO_PAGE_HI, Phase } from './cpu-state.ts';

const VA_BITS = 48;

export class RegimeCpu extends CachedCpu {
  regime: Regime = Regime.Host;
  readonly exception: Exception = {
    fsc: 0,
    write: false,
    instruction: false,
    stage1Walk: false,
    farHi: 0,
    farLo: 0,
    ipaHi: 0,
    ipaLo: 0,
  };
  /** VA of the page used last, high half; NO_PAGE_HI = none. */
  protected pageHi = NO_PAGE_HI;
  /** The same of the page fetched from last. */
  protected textPageHi = NO_PAGE_HI;
  protected textPageLo = 0;
  protected textPagePaHi = 0;
  protected textPagePaLo = 0;
  protected textPageZone: Int32Array = EMPTY_ZONE;
  /** Tag of the current regime. */
  protected context = 0;
  protected vmid = 0;
  protected readonly roots: readonly StageRoot[];
  protected readonly guestGranuleShift: number;
  protected readonly hostGranuleShift: number;
  protected readonly stage2GranuleShift: number;
  /** AT: a fault is a result, no exception. */
  protected quietly = false;
  protected quietFault = false;
  #asid = 0;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    const { translation } = environment.spec;
    this.hostGranuleShift = translation.hostGranuleShift;
    this.guestGranuleShift = translation.guestGranuleShift;
    this.stage2GranuleShift = translation.stage2GranuleShift;
    const host = granuleOf(translation.hostGranuleShift);
    const guest = granuleOf(translation.guestGranuleShift);
    const stage2 = granuleOf(translation.stage2GranuleShift);
    const root = (granule: Granule, level: number, inputBits: number): StageRoot => ({
      granule,
      startLevel: level,
      inputBits,
      hi: 0,
      lo: 0,
    });
    this.roots = [
      root(host, startLevel(host, VA_BITS), VA_BITS),
      root(host, startLevel(host, VA_BITS), VA_BITS),
      root(stage2, stage2StartLevel(stage2, translation.ipaBits), translation.ipaBits),
      root(guest, startLevel(guest, VA_BITS), VA_BITS),
      root(guest, startLevel(guest, VA_BITS), VA_BITS),
    ];
    const kernel = translation.kernelRoots[id]!;
    const user = translation.userRoots[id]!;
    this.writeRoot(Register.Ttbr1, kernel.hi, kernel.lo, 0);
    // One process per CPU: its ASID is the CPU's number, kept clear of the kernel's 0.
    const asids = environment.machine.features.asidBits === 16 ? 0xffff : 0xff;
    this.writeRoot(Register.Ttbr0, user.hi, user.lo, 1 + (id % asids));
  }

  protected writeRoot(register: Register, paHi: number, paLo: number, tag: number): void {
    const root = this.roots[register]!;
    root.hi = paHi;
    root.lo = paLo;
    if (register === Register.Ttbr0) this.#asid = tag;
    if (register === Register.Vttbr) this.vmid = tag;
    this.#updateContext();
  }

  protected switchRegime(regime: Regime): void {
    if (regime === this.regime) return;
    this.regime = regime;
    this.#updateContext();
  }

  #updateContext(): void {
    this.pageHi = NO_PAGE_HI;
    this.textPageHi = NO_PAGE_HI;
    this.context =
      this.regime === Regime.Host
        ? packContext(Regime.Host, 0, this.#asid)
        : packContext(Regime.Guest, this.vmid, 0);
  }

  protected raise(
    fsc: number,
    aHi: number,
    aLo: number,
    inStage2: boolean,
    ipaHi: number,
    ipaLo: number,
  ): void {
    const e = this.exception;
    e.fsc = fsc;
    e.farHi = aHi;
    e.farLo = aLo;
    e.ipaHi = inStage2 ? ipaHi : 0;
    e.ipaLo = inStage2 ? ipaLo & ~0xfff : 0;
    this.setPhase(Phase.None);
    if (this.quietly) {
      this.quietFault = true;
      return;
    }
    const own = this.regime === Regime.Guest ? Level.Guest : Level.Host;
    this.takeException(inStage2 ? Level.El2 : own);
  }

  /** Pushes the handler of the level. */
  protected takeException(_level: Level): void {}
}

function granuleOf(shift: number): Granule {
  if (shift === 12) return GRANULE_4K;
  return shift === 14 ? GRANULE_16K : GRANULE_64K;
}
