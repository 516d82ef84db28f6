/**
 * Translation in a CPU of the explore engine. An announced attempt that is not in the linear map
 * looks into the TLB; a miss starts a walk, whose reads are steps of the CPU's walker agent, and
 * the attempt is announced when the walk is done. A delivered TLBI makes walks start over and
 * announced attempts translate again (ER-X2, X3). Faults push the vector's program.
 */

import { FaultKind, Level, Regime, Tlbi } from '../../cpu/operations.ts';
import {
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
} from '../../translation/descriptors.ts';
import { WalkResult } from '../../translation/walker.ts';
import { KIND_OF, Op } from './attempts.ts';
import { ExploreCpuMemory } from './cpu-memory.ts';
import { isLinear, Phase } from './cpu-row.ts';
import { StepKind } from './execution.ts';
import { Mmu } from './mmu.ts';
import type { TlbiOperation } from './observer.ts';

export abstract class ExploreCpuTranslation extends ExploreCpuMemory {
  #mmu: Mmu | null = null;
  /** AT found a fault: its status; -1: none. */
  protected quietFault = -1;

  /** Made when the CPU first has to do with translation. */
  get mmu(): Mmu {
    if (this.#mmu === null) {
      const { translation, machine } = this.world;
      this.#mmu = new Mmu(this.id, this.memory, translation, machine.features.hafdbs);
      this.#mmu.setRegime(this.regime);
      this.#mmu.onRead = (hi, lo, update) =>
        this.world.observer?.walkRead?.(this.id, hi, lo, update);
    }
    return this.#mmu;
  }

  /** Has the CPU translated anything in this schedule? Others need no TLBI. */
  get translates(): boolean {
    return this.#mmu?.inUse ?? false;
  }

  override reset(): void {
    super.reset();
    this.#mmu?.reset();
  }

  protected override switched(): void {
    this.world.text?.synchronise(this.id);
    this.#mmu?.setRegime(this.regime);
  }

  #isWrite(): boolean {
    if (this.op === Op.Translate) return this.x0 === 1;
    const kind = KIND_OF[this.op]!;
    return kind === StepKind.Write || kind === StepKind.Update;
  }

  protected override translateAttempt(): boolean {
    this.quietFault = -1;
    if (this.op === Op.Translate && this.#isLinear()) {
      this.paHi = this.aHi & 0xffff;
      this.paLo = this.aLo;
      return true;
    }
    const { mmu } = this;
    if (this.regime === Regime.Guest && mmu.vmid === 0) this.fault('runs a guest without a VMID');
    for (;;) {
      const found = mmu.tlb.lookup(mmu.context, this.aHi, this.aLo);
      if (found >= 0 && this.#allowed(found)) {
        this.paHi = mmu.tlb.paHi(found) | (this.aHi & ~mmu.tlb.maskHi(found));
        this.paLo = mmu.tlb.paLo(found) | (this.aLo & ~mmu.tlb.maskLo(found));
        return true;
      }
      if (found >= 0 && !this.#dirtyPending(found)) return this.#permissionFault(found);
      mmu.startWalk(this.aHi, this.aLo, this.#isWrite(), this.op === Op.Fetch);
      const result = mmu.walker.run();
      if (result === WalkResult.Blocked) {
        this.#announceWalk();
        return false;
      }
      if (result === WalkResult.Fault) return this.#walkFault();
      mmu.fill();
    }
  }

  #isLinear(): boolean {
    return this.regime === Regime.Host && isLinear(this.aHi) && !this.byTables(this.aLo);
  }

  #allowed(entry: number): boolean {
    const permissions = this.mmu.tlb.permissions(entry);
    if (this.op === Op.Fetch) return (permissions & PERM_EXEC) !== 0;
    return (permissions & (this.#isWrite() ? PERM_WRITE : PERM_READ)) !== 0;
  }

  /** The walker may set the dirty state of this entry's descriptor. */
  #dirtyPending(entry: number): boolean {
    if (!this.#isWrite() || this.world.machine.features.hafdbs !== 'dbm') return false;
    return (this.mmu.tlb.permissions(entry) & PERM_DIRTY_PENDING) !== 0;
  }

  // ---- walks ----------------------------------------------------------------------------------

  #announceWalk(): void {
    const { mmu, world } = this;
    this.walking = true;
    const agent = world.walkerOf(this.id);
    world.kind[agent] = mmu.readUpdates ? StepKind.Update : StepKind.WalkRead;
    world.hi[agent] = mmu.readHi;
    world.lo[agent] = mmu.readLo;
    world.bytes[agent] = 8;
    world.setEnabled(agent, 1);
  }

  /** The WalkRead step: one descriptor is read. */
  stepWalk(): void {
    this.mmu.granted = true;
    this.#continueWalk();
  }

  #continueWalk(): void {
    const { mmu } = this;
    const result = mmu.walker.run();
    if (result === WalkResult.Blocked) {
      this.#announceWalk();
      return;
    }
    this.#endWalk();
    if (result === WalkResult.Done) {
      mmu.fill();
      this.publish();
    } else if (this.#walkFault()) {
      this.publishQuietFault();
    }
    this.#goOnAfterFault();
  }

  /** AT: the fault is the result; no walk is made again. */
  protected publishQuietFault(): void {
    const { world, id } = this;
    world.hi[id] = this.aHi;
    world.lo[id] = this.aLo;
    world.bytes[id] = 0;
    world.kind[id] = StepKind.Other;
    this.refresh();
  }

  #endWalk(): void {
    this.walking = false;
    const agent = this.world.walkerOf(this.id);
    this.world.kind[agent] = StepKind.None;
    this.world.setEnabled(agent, 0);
  }

  protected override abandonWalk(): void {
    this.mmu.walker.active = false;
    this.#endWalk();
  }

  /** A handler was pushed outside the program: it runs to its first attempt. */
  #goOnAfterFault(): void {
    if (this.gatePhase === Phase.Free && !this.finished) this.run();
  }

  // ---- TLBI -----------------------------------------------------------------------------------

  /** The Deliver step. */
  apply({ operation, context, hi, lo, pages }: TlbiOperation): void {
    if (operation === Tlbi.IcIvau || operation === Tlbi.IcIalluIs) {
      const word = operation === Tlbi.IcIvau ? this.memory.indexOf(hi, lo) : -1;
      this.world.text?.invalidate(this.id, word);
      return;
    }
    const { mmu } = this;
    const restarts = mmu.invalidate(operation, context, hi, lo, pages);
    if (this.walking) {
      if (!restarts) return;
      mmu.walker.restart();
      mmu.granted = false;
      this.#continueWalk();
    } else if (
      this.gatePhase === Phase.Announced &&
      (this.translated || this.op === Op.Translate)
    ) {
      this.publish();
      this.#goOnAfterFault();
    }
  }

  // ---- faults ---------------------------------------------------------------------------------

  /** True: quiet (AT), the fault is the result. */
  #walkFault(): boolean {
    const w = this.mmu.walker;
    const fsc = w.faultKind | w.faultLevel;
    return this.#fault(fsc, w.faultOnTable, w.faultInStage2, w.ipaHi, w.ipaLo);
  }

  /** A cached entry denies the access, be it stale and too restrictive: no walk is made. */
  #permissionFault(entry: number): boolean {
    const { tlb, setup } = this.mmu;
    const nested = tlb.stage2Shift(entry) !== 0;
    const shift = nested ? tlb.stage2Shift(entry) : tlb.stage1Shift(entry);
    const granule = nested ? setup.stage2GranuleShift : setup.hostGranuleShift;
    const level = 3 - (shift - granule) / (granule - 3);
    const ipaHi = tlb.ipaHi(entry) | (this.aHi & ~tlb.maskHi(entry));
    const ipaLo = tlb.ipaLo(entry) | (this.aLo & ~tlb.maskLo(entry));
    return this.#fault(FaultKind.Permission | level, false, nested, ipaHi, ipaLo);
  }

  #fault(
    fsc: number,
    stage1Walk: boolean,
    inStage2: boolean,
    ipaHi: number,
    ipaLo: number,
  ): boolean {
    if (this.op === Op.Translate) {
      this.quietFault = fsc;
      return true;
    }
    const own = this.regime === Regime.Guest ? Level.Guest : Level.Host;
    this.raise(inStage2 ? Level.El2 : own, {
      fsc,
      write: this.#isWrite(),
      instruction: this.op === Op.Fetch,
      stage1Walk,
      farHi: this.aHi,
      farLo: this.aLo,
      ipaHi: inStage2 ? ipaHi : 0,
      ipaLo: inStage2 ? ipaLo & ~0xfff : 0,
    });
    return false;
  }

  protected override noteTranslation(write: boolean): void {
    this.world.observer?.translated?.({
      cpu: this.id,
      regime: this.regime,
      context: this.mmu.context,
      vaHi: this.aHi,
      vaLo: this.aLo,
      paHi: this.paHi,
      paLo: this.paLo,
      write,
    });
  }
}
