/**
 * What a TLBI does to a CPU: entries go from the TLBs and walk caches, and what is under way is
 * marked. A marked walk starts over and never fills (ER-X2), a marked access translates again
 * (ER-X3).
 */

import { Regime, Tlbi } from '../../cpu/operations.ts';
import { Counter } from '../../metrics/definition.ts';
import { packContext } from '../../translation/context.ts';
import { TlbiMatch } from '../../translation/tlbi-match.ts';
import { NO_PAGE_HI } from './cpu-state.ts';
import { TranslatingCpu } from './cpu-translation.ts';

export class InvalidatingCpu extends TranslatingCpu {
  readonly #match = new TlbiMatch();

  /** Tag that a TLBI of this CPU carries: VMID forms take VTTBR's, address forms the regime's. */
  protected contextOfTlbi(operation: Tlbi): number {
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

  /** Removes what the operation takes from this CPU and marks what is under way. */
  protected applyTlbi(
    operation: Tlbi,
    context: number,
    aHi: number,
    aLo: number,
    pages: number,
  ): void {
    if (operation === Tlbi.IcIalluIs) {
      if (this.liveHi !== NO_PAGE_HI) this.freezeFetched();
      this.l1i.clear();
      this.watch?.text.allInvalidated(this.clock);
      return;
    }
    if (operation === Tlbi.IcIvau) {
      // By physical address: the issuer has translated (the caches are physically tagged).
      this.watch?.text.invalidated(aHi, aLo, this.clock);
      this.dropText(aHi, aLo);
      return;
    }
    const guest = context >>> 16 !== 0;
    const regime = guest ? Regime.Guest : Regime.Host;
    const byIpa =
      operation === Tlbi.IpaS2E1 || operation === Tlbi.IpaS2E1Is || operation === Tlbi.RipaS2E1Is;
    const granuleShift = byIpa
      ? this.stage2GranuleShift
      : guest
        ? this.guestGranuleShift
        : this.hostGranuleShift;
    const match = this.#match;
    match.set(operation, regime, context >>> 16, context & 0xffff, aHi, aLo, pages, granuleShift);
    this.dtlb.invalidate(match);
    this.itlb.invalidate(match);
    this.tlb2.invalidate(match);
    this.walkCache.invalidate(match);
    this.pageHi = NO_PAGE_HI;
    this.textPageHi = NO_PAGE_HI;
    const walker = this.walker;
    if (this.watch !== null) {
      const record = { operation, context, hi: aHi, lo: aLo, pages, granuleShift };
      this.watch.tlbiApplied(match, record, walker.active);
    }
    if (walker.active) {
      if (
        match.matchesWalk(
          walker.context,
          walker.vaHi,
          walker.vaLo,
          walker.topShift,
          walker.lowShift,
        )
      ) {
        walker.marked = true;
      }
    } else if (
      match.matchesWalk(
        this.context,
        this.accessVaHi,
        this.accessVaLo,
        this.accessShift,
        this.accessShift,
      )
    ) {
      this.marked = true;
    }
  }

  /**
   * An access of the page used last waits: for its line, or parked. A TLBI is compared with the
   * leaf of this access, whatever the access before it rested on (rule 32).
   */
  protected noteAddress(aHi: number, aLo: number): void {
    this.accessVaHi = aHi;
    this.accessVaLo = aLo;
    this.accessShift = this.pageShift;
    this.marked = false;
  }

  /** Was the translated access under way hit by a TLBI? */
  protected get isMarked(): boolean {
    return this.marked;
  }

  /** As isMarked; the mark is taken and counted. */
  protected takeMark(): boolean {
    if (!this.marked) return false;
    this.marked = false;
    this.counters[Counter.Retranslated] = this.counters[Counter.Retranslated]! + 1;
    return true;
  }

  /** AT: as translateData, but a fault is a result and not an exception. */
  translate(aHi: number, aLo: number, write: boolean): boolean {
    this.quietly = true;
    this.quietFault = false;
    const translated = this.translateData(aHi, aLo, write ? 1 : 0);
    this.quietly = false;
    if (!translated && !this.quietFault) return this.refuse();
    // Nothing is free: a loop over AT must leave its window (ER-T11).
    this.clock += 1;
    this.ok = translated;
    this.ret = translated ? 0 : this.exception.fsc;
    this.hi = this.accessPaHi;
    this.lo = this.accessPaLo;
    return true;
  }
}
