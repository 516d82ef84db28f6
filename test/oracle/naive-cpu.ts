/**
 * The Cpu interface of the naive engine: each operation as a small program over one access, and the
 * operations that touch no memory.
 */

import type { Cpu } from '../../src/cpu/cpu.ts';
import {
  Fence,
  isBroadcast,
  type Order,
  Regime,
  type Register,
  Scope,
  Tlbi,
} from '../../src/cpu/operations.ts';
import { Cost } from '../../src/machine/costs.ts';
import { Counter } from '../../src/metrics/definition.ts';
import type { DvmOperation } from './naive-dvm.ts';
import { conditionHolds, type Place, wordOf } from './naive-memory.ts';
import { NaiveText } from './naive-text.ts';
import { addressNumber, isFault } from './naive-translation.ts';
import type { Micro } from './naive-walk.ts';

export class NaiveCpu extends NaiveText implements Cpu {
  #tlbisToWaitFor = 0;
  #acknowledgementsMissing = 0;
  #acknowledgedAt = 0;

  // ---- loads and stores -----------------------------------------------------------------------

  #load(aHi: number, aLo: number, read: (place: Place) => void): boolean {
    const cpu = this;
    return this.attempt(function* () {
      const place = yield* cpu.access(aHi, aLo, 'read');
      if (place === null) return false;
      read(place);
      return true;
    });
  }

  /** A store, or with `atomic` a read-modify-write. */
  #modify(aHi: number, aLo: number, atomic: boolean, change: (place: Place) => void): boolean {
    const cpu = this;
    return this.attempt(function* () {
      const place = yield* cpu.access(aHi, aLo, 'write');
      if (place === null) return false;
      change(place);
      if (atomic && !place.granted) cpu.spend(Cost.Atomic);
      return true;
    });
  }

  #word(place: Place, index = 0): number {
    return place.skipped ? 0 : this.peek(wordOf(place.pa) + 4 * index);
  }

  #put(place: Place, value: number, index = 0): void {
    if (!place.skipped) this.poke(wordOf(place.pa) + 4 * index, value);
  }

  load32(aHi: number, aLo: number, _order: Order): boolean {
    return this.#load(aHi, aLo, (place) => {
      this.lo = this.#word(place);
      this.hi = 0;
    });
  }
  load64(aHi: number, aLo: number, _order: Order): boolean {
    return this.#load(aHi, aLo, (place) => {
      this.lo = this.#word(place);
      this.hi = this.#word(place, 1);
    });
  }
  load8(aHi: number, aLo: number, _order: Order): boolean {
    return this.#load(aHi, aLo, (place) => {
      this.lo = (this.#word(place) >>> ((aLo & 3) * 8)) & 0xff;
      this.hi = 0;
    });
  }
  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, false, (place) => this.#put(place, value));
  }
  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, false, (place) => {
      this.#put(place, vLo);
      this.#put(place, vHi, 1);
    });
  }
  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, false, (place) => this.#putPart(place, aLo & 3, 0xff, value));
  }
  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, false, (place) => this.#putPart(place, aLo & 2, 0xffff, value));
  }

  #putPart(place: Place, byte: number, mask: number, value: number): void {
    const kept = this.#word(place) & ~(mask << (8 * byte));
    this.#put(place, kept | ((value & mask) << (8 * byte)));
  }

  // ---- atomics --------------------------------------------------------------------------------

  #atomic32(aHi: number, aLo: number, next: (old: number) => number): boolean {
    return this.#modify(aHi, aLo, true, (place) => {
      this.lo = this.#word(place);
      this.hi = 0;
      this.#put(place, next(this.lo) | 0);
    });
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, true, (place) => {
      this.lo = this.#word(place);
      this.hi = 0;
      this.ok = !place.skipped && this.lo === (expected | 0);
      if (this.ok) this.#put(place, desired);
    });
  }
  cas64(
    aHi: number,
    aLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    _order: Order,
  ): boolean {
    return this.#modify(aHi, aLo, true, (place) => {
      this.lo = this.#word(place);
      this.hi = this.#word(place, 1);
      this.ok = !place.skipped && this.lo === (eLo | 0) && this.hi === (eHi | 0);
      if (!this.ok) return;
      this.#put(place, dLo);
      this.#put(place, dHi, 1);
    });
  }
  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#atomic32(aHi, aLo, () => value);
  }
  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#atomic32(aHi, aLo, (old) => old + value);
  }
  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    return this.#atomic32(aHi, aLo, (old) => old | bits);
  }
  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    return this.#atomic32(aHi, aLo, (old) => old & ~bits);
  }
  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    return this.#modify(aHi, aLo, true, (place) => {
      const old = (this.#word(place) >>> (8 * (aLo & 2))) & 0xffff;
      this.#putPart(place, aLo & 2, 0xffff, value);
      this.lo = old;
      this.hi = 0;
    });
  }
  #atomic64(aHi: number, aLo: number, next: (old: bigint) => bigint): boolean {
    return this.#modify(aHi, aLo, true, (place) => {
      this.lo = this.#word(place);
      this.hi = this.#word(place, 1);
      const value = next((BigInt(this.hi) << 32n) | BigInt(this.lo >>> 0));
      this.#put(place, Number(BigInt.asIntN(32, value)));
      this.#put(place, Number(BigInt.asIntN(32, value >> 32n)), 1);
    });
  }
  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    return this.#atomic64(aHi, aLo, () => (BigInt(vHi) << 32n) | BigInt(vLo >>> 0));
  }
  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    return this.#atomic64(aHi, aLo, (old) => old + ((BigInt(vHi) << 32n) | BigInt(vLo >>> 0)));
  }

  cond32(
    aHi: number,
    aLo: number,
    kind: number,
    mask: number,
    operand: number,
    _order: Order,
  ): boolean {
    const holds = conditionHolds(kind, mask, operand);
    return this.attempt(() => this.condition(aHi, aLo, holds, Number.POSITIVE_INFINITY));
  }
  cond32Until(
    aHi: number,
    aLo: number,
    kind: number,
    mask: number,
    operand: number,
    deadline: number,
    _order: Order,
  ): boolean {
    const holds = conditionHolds(kind, mask, operand);
    return this.attempt(() => this.condition(aHi, aLo, holds, deadline));
  }

  zeroLine(aHi: number, aLo: number): boolean {
    const cpu = this;
    return this.attempt(function* () {
      const place = yield* cpu.access(aHi, aLo & ~63, 'write', 'write-no-data');
      if (place === null) return false;
      for (let word = 0; word < 16; word++) cpu.#put(place, 0, word);
      return true;
    });
  }

  // ---- operations that touch no memory --------------------------------------------------------

  /** Performed at the CPU's moment. */
  #instant(perform: () => void): boolean {
    const cpu = this;
    return this.attempt(function* () {
      if (!cpu.takeSkip()) yield* cpu.moment();
      perform();
      return true;
    });
  }

  fence(kind: Fence): boolean {
    return this.#instant(() => {
      if (kind === Fence.Isb) {
        this.spend(Cost.Isb);
        this.synchronise();
      } else this.spend(kind === Fence.DsbIshSt ? Cost.Dsb : Cost.Dmb);
    });
  }

  translate(aHi: number, aLo: number, write: boolean): boolean {
    const cpu = this;
    return this.attempt(function* () {
      yield* cpu.moment();
      const va = addressNumber(aHi, aLo);
      const result = yield* cpu.translation(va, write ? 'write' : 'read');
      cpu.clock += 1;
      cpu.ok = !isFault(result);
      cpu.ret = isFault(result) ? result.fsc : 0;
      const pa = isFault(result) ? 0 : result.pa + (va - result.base);
      cpu.hi = Math.floor(pa / 2 ** 32);
      cpu.lo = pa | 0;
      return true;
    });
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    return this.#instant(() => {
      this.writeRoot(register, (paHi & 0xffff) * 2 ** 32 + (paLo >>> 0), tag);
      this.spend(Cost.Isb);
      this.synchronise();
    });
  }

  setRegime(regime: Regime): void {
    if (regime === this.regime) return;
    this.spend(regime === Regime.Guest ? Cost.GuestEntry : Cost.GuestExit);
    this.regime = regime;
    this.synchronise();
  }

  ipi(target: number, vector: number): boolean {
    return this.#instant(() => {
      this.count(Counter.IpiSent, 1);
      this.run.cpu(target).interruptArrives(this.clock + this.#messageTo(target), vector);
      this.clock += this.machine.l1d.latencyPs;
    });
  }

  wake(target: number): boolean {
    return this.#instant(() => {
      this.run.cpu(target).wakeArrives(this.clock + this.#messageTo(target));
      this.clock += this.machine.l1d.latencyPs;
    });
  }

  #messageTo(target: number): number {
    const m = this.machine;
    return m.hopPs[this.node * m.nodeCount + m.nodeOfCpu[target]!]! + m.ipiPs;
  }

  // ---- TLB maintenance ------------------------------------------------------------------------

  tlbi(operation: Tlbi, aHi: number, aLo: number, pages: number): boolean {
    if (operation !== Tlbi.IcIvau) {
      return this.#instant(() => this.#issue(operation, aHi, aLo, pages));
    }
    const cpu = this;
    return this.attempt(function* () {
      const line = yield* cpu.textLine(aHi, aLo);
      if (line === null) return false;
      if (line >= 0) cpu.#issue(operation, Math.floor(line / 2 ** 32), line | 0, 0);
      return true;
    });
  }

  #issue(operation: Tlbi, aHi: number, aLo: number, pages: number): void {
    this.spend(Cost.TlbiIssue);
    this.count(Counter.TlbiIssued, 1);
    const tag = this.maintenanceTag(operation);
    this.#applyMaintenance(operation, tag.vmid, tag.asid, aHi, aLo, pages);
    if (!isBroadcast(operation)) return;
    this.count(Counter.TlbiBroadcast, 1);
    this.#tlbisToWaitFor++;
    const context = tag.vmid * 65536 + tag.asid;
    this.run.dvm(this.clock, { issuer: this.id, operation, context, hi: aHi, lo: aLo, pages });
  }

  #applyMaintenance(
    operation: number,
    vmid: number,
    asid: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    if (operation === Tlbi.IcIalluIs) {
      this.dropAllText();
      return;
    }
    if (operation === Tlbi.IcIvau) {
      this.dropText(hi * 2 ** 32 + (lo >>> 0));
      return;
    }
    const address = addressNumber(hi, lo);
    this.maintain({ operation, tag: { vmid, asid }, address, pages });
  }

  dsb(scope: Scope): boolean {
    const cpu = this;
    return this.attempt(function* () {
      yield* cpu.moment();
      if (scope === Scope.InnerShareable && cpu.#tlbisToWaitFor > 0) yield* cpu.#sync();
      cpu.spend(Cost.Dsb);
      cpu.count(Counter.Dsb, 1);
      return true;
    });
  }

  *#sync(): Micro<void> {
    this.#tlbisToWaitFor = 0;
    this.#acknowledgementsMissing = this.run.activeNodes.length;
    this.#acknowledgedAt = this.clock;
    this.state = 'acknowledgements';
    const nothing = { context: 0, hi: 0, lo: 0, pages: 0 };
    this.run.dvm(this.clock, { issuer: this.id, operation: 'sync', ...nothing });
    yield 'acknowledgements';
    this.clock = Math.max(this.clock, this.stallUntil);
  }

  acknowledged(time: number): void {
    this.#acknowledgedAt = Math.max(this.#acknowledgedAt, time);
    this.#acknowledgementsMissing--;
    if (this.#acknowledgementsMissing === 0) {
      this.schedule(Math.max(this.clock, this.#acknowledgedAt));
    }
  }

  /** An operation of another CPU takes effect, on a grid boundary. */
  dvmArrives(effect: number, operation: DvmOperation): void {
    this.count(Counter.DvmReceived, 1);
    const stall = this.machine.dvmStallPs;
    if (this.state === 'run') {
      this.clock += stall;
      this.schedule(this.clock);
    } else {
      this.stallUntil = Math.max(this.stallUntil, effect) + stall;
    }
    if (operation.operation === 'sync') return;
    const vmid = Math.floor(operation.context / 65536);
    const asid = operation.context % 65536;
    const { hi, lo, pages } = operation;
    this.#applyMaintenance(operation.operation, vmid, asid, hi, lo, pages);
    if (this.state !== 'parked' || !this.takeMark()) return;
    // The address may mean another word now: the attempt starts afresh.
    this.dropAttempt();
    this.clock = Math.max(this.clock, this.stallUntil);
    this.state = 'run';
    this.schedule(this.clock);
  }

  /** For comparing how a run that stalled ends. */
  describe(): string {
    return this.state;
  }
}
