/**
 * Barriers, TLB maintenance and whole-page operations of a CPU: what it sends to the DVM agents and
 * the homes beside loads and stores.
 *
 * A DSB waits for the TLBIs that this CPU issued before (ER-X6): it sends one Sync after them and
 * is performed when every agent's acknowledgement counts.
 */

import { assert } from '../../base/assert.ts';
import { LineState, RequestKind } from '../../cache/line-state.ts';
import { Fence, isBroadcast, Scope, Tlbi } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Counter } from '../../metrics/definition.ts';
import { DVM_SYNC } from '../../translation/dvm-agent.ts';
import { ConditionCpu } from './cpu-condition.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { NEVER, Phase, Status, WaitFor } from './cpu-state.ts';

export class MaintenanceCpu extends ConditionCpu {
  // DSB: acknowledgements still to come, and when the last one counts.
  #tlbisSinceDsb = 0;
  protected acksMissing = 0;
  #acksDonePs = 0;
  readonly #agentCount: number;

  constructor(id: number, slot: number, environment: CpuEnvironment, agentCount: number) {
    super(id, slot, environment);
    this.#agentCount = agentCount;
  }

  /** May an operation that touches no memory be performed now? */
  protected admit(): boolean {
    if (this.clock < this.until) return true;
    if (this.phaseOfAttempt === Phase.Skip) {
      this.setPhase(Phase.None);
      return true;
    }
    return this.refuse();
  }

  fence(kind: Fence): boolean {
    if (!this.admit()) return false;
    if (kind === Fence.Isb) {
      this.spend(Cost.Isb);
      this.synchroniseContext();
    } else this.spend(kind === Fence.DsbIshSt ? Cost.Dsb : Cost.Dmb);
    return true;
  }

  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    if (operation === Tlbi.IcIvau) {
      // By address: translated as a load, sent on as the physical line.
      if (this.phaseOfAttempt === Phase.Skip) return this.#skipWhole();
      if (!this.#translateWhole(aHi, aLo, 0)) return false;
      this.setPhase(Phase.None);
      return this.#issue(operation, this.accessPaHi, this.accessPaLo & ~63, 0);
    }
    return this.admit() && this.#issue(operation, aHi, aLo, argument);
  }

  #issue(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    this.spend(Cost.TlbiIssue);
    this.counters[Counter.TlbiIssued] = this.counters[Counter.TlbiIssued]! + 1;
    const context = this.contextOfTlbi(operation);
    this.watch?.tlbiIssues(operation);
    this.applyTlbi(operation, context, aHi, aLo, argument);
    if (!isBroadcast(operation)) return true;
    if (this.machine.architecture === 'x86') this.#refuseBroadcast(operation);
    this.counters[Counter.TlbiBroadcast] = this.counters[Counter.TlbiBroadcast]! + 1;
    this.#tlbisSinceDsb++;
    this.fabric.dvm(this.id, this.node, this.clock, operation, context, aHi, aLo, argument);
    this.watch?.tlbiIssued(operation, context, aHi, aLo, argument);
    return true;
  }

  /** x86 has no DVM: invalidations of other CPUs are IPIs, instruction caches are coherent. */
  #refuseBroadcast(operation: Tlbi): void {
    const name = Object.entries(Tlbi).find(([, number]) => number === operation)?.[0];
    assert(false, `broadcast ${name} on ${this.machine.name}, an x86 machine`);
  }

  dsb(scope: Scope): boolean {
    if (this.phaseOfAttempt === Phase.Dsb) {
      if (this.acksMissing > 0) return this.refuse();
      this.setPhase(Phase.None);
      this.clock = Math.max(this.clock, this.stallUntil);
    } else {
      if (!this.admit()) return false;
      if (scope === Scope.InnerShareable && this.#tlbisSinceDsb > 0) {
        this.#startSync();
        return this.refuse();
      }
    }
    this.spend(Cost.Dsb);
    this.counters[Counter.Dsb] = this.counters[Counter.Dsb]! + 1;
    if (scope === Scope.InnerShareable) this.watch?.dvm.completed(this.clock);
    return true;
  }

  #startSync(): void {
    this.#tlbisSinceDsb = 0;
    this.acksMissing = this.#agentCount;
    this.#acksDonePs = this.clock;
    this.setPhase(Phase.Dsb);
    this.status = Status.WaitDsb;
    this.nextPs = NEVER;
    const issued = this.watch === null ? 0 : this.watch.dvm.issued;
    this.fabric.dvm(this.id, this.node, this.clock, DVM_SYNC, 0, issued, 0, 0);
  }

  /** A DVM operation of another CPU takes effect here, at a window boundary. */
  dvmArrives(
    effectPs: number,
    issuer: number,
    operation: number,
    context: number,
    aHi: number,
    aLo: number,
    pages: number,
  ): void {
    this.counters[Counter.DvmReceived] = this.counters[Counter.DvmReceived]! + 1;
    const stall = this.machine.dvmStallPs;
    if (this.status === Status.Run) {
      this.clock += stall;
      this.nextPs = this.clock;
    } else {
      this.stallUntil = Math.max(this.stallUntil, effectPs) + stall;
    }
    if (operation === DVM_SYNC) {
      this.watch?.dvm.syncReceived(issuer, aHi, effectPs);
      return;
    }
    this.watch?.tlbiReceived(issuer, effectPs, operation);
    this.applyTlbi(operation as Tlbi, context, aHi, aLo, pages);
    if (this.isMarked && this.status === Status.Parked) {
      // The address may mean another word now: the attempt starts afresh.
      this.takeMark();
      this.clock = Math.max(this.clock, this.stallUntil);
      this.status = Status.Run;
      this.setPhase(Phase.None);
      this.nextPs = this.clock;
    }
  }

  acknowledged(atPs: number): void {
    if (this.acksMissing <= 0) assert(false, `CPU ${this.id}: an acknowledgement too many`);
    this.#acksDonePs = Math.max(this.#acksDonePs, atPs);
    if (--this.acksMissing === 0 && this.status === Status.WaitDsb) {
      this.nextPs = Math.max(this.clock, this.#acksDonePs);
    }
  }

  zeroPage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#wholePage(aHi, aLo, bytes, Cost.ZeroLine);
  }

  copyPage(dHi: number, dLo: number, _sHi: number, _sLo: number, bytes: number): boolean {
    return this.#wholePage(dHi, dLo, bytes, Cost.CopyLine);
  }

  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#wholePage(aHi, aLo, bytes, Cost.CleanInvalidateLine);
  }

  #wholePage(aHi: number, aLo: number, bytes: number, costPerLine: Cost): boolean {
    if (this.phaseOfAttempt === Phase.Granted) {
      this.setPhase(Phase.None);
      this.spendMany(costPerLine, bytes / 64);
      if (this.stallUntil > this.clock) this.clock = this.stallUntil;
      return true;
    }
    if (this.phaseOfAttempt === Phase.Skip) return this.#skipWhole();
    if (!this.#translateWhole(aHi, aLo, 1)) return false;
    assert(
      !this.memory.isBacked(this.accessPaHi, this.accessPaLo),
      'page operation on backed memory',
    );
    assert((this.accessPaLo & (Math.min(bytes, 2 ** 30) - 1)) === 0, 'page operation unaligned');
    this.ask(this.accessPaHi, this.accessPaLo, RequestKind.Page, WaitFor.Whole, bytes);
    return this.refuse();
  }

  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    if (this.phaseOfAttempt === Phase.Granted) {
      this.setPhase(Phase.None);
      this.spend(Cost.CleanInvalidateLine);
      if (this.stallUntil > this.clock) this.clock = this.stallUntil;
      return true;
    }
    if (this.phaseOfAttempt === Phase.Skip) return this.#skipWhole();
    if (!this.#translateWhole(aHi, aLo, 1)) return false;
    this.dropLine(this.accessPaHi, this.accessPaLo & ~63);
    this.ask(this.accessPaHi, this.accessPaLo & ~63, RequestKind.Flush, WaitFor.Whole, 0);
    return this.refuse();
  }

  /**
   * DC CVAU: the L2 is the point of unification of its CPU, and what lies in other caches is read
   * from them by whoever fetches it. So the line is brought into the own L2, which makes an owner
   * elsewhere share it, and a dirty copy of the own L1D goes there. The cost is that of DC CIVAC.
   */
  cleanLineToPou(aHi: number, aLo: number): boolean {
    const granted = this.phaseOfAttempt === Phase.Granted;
    if (!granted) {
      if (this.phaseOfAttempt === Phase.Skip) return this.#skipWhole();
      if (!this.#translateWhole(aHi, aLo, 0)) return false;
      const hi = this.accessPaHi;
      const lo = this.accessPaLo & ~63;
      if (this.hitL2(hi, lo, 0) === LineState.Invalid) {
        this.ask(hi, lo, RequestKind.Read, WaitFor.Whole, 0);
        return this.refuse();
      }
      this.cleanL1d(hi, lo);
    }
    this.setPhase(Phase.None);
    this.spend(Cost.CleanInvalidateLine);
    if (granted && this.stallUntil > this.clock) this.clock = this.stallUntil;
    return true;
  }

  #skipWhole(): boolean {
    this.setPhase(Phase.None);
    this.clock += 1;
    return true;
  }

  /** Translation of an operation that always goes to the home; leaves phase Translated. */
  #translateWhole(aHi: number, aLo: number, write: number): boolean {
    if (this.phaseOfAttempt === Phase.Translated && this.takeMark()) this.setPhase(Phase.None);
    if (this.phaseOfAttempt !== Phase.Translated && !this.translateData(aHi, aLo, write)) {
      return this.refuse();
    }
    this.setPhase(Phase.Translated);
    return this.clock >= this.limit ? this.refuse() : true;
  }
}
