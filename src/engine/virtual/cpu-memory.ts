/**
 * Loads, stores, atomics and conditional loads of the virtual engine. The hit path (same page as
 * before or L1 TLB hit, L1D hit) is one call without allocation; everything else goes to `#accessSlow`,
 * which finds out from the phase how far the refused attempt had come.
 *
 * The content of a line is read and written here, while this CPU's cache holds the line: within a
 * window no other host thread touches it.
 */

import { assert } from '../../base/assert.ts';
import { LineState, RequestKind } from '../../cache/line-state.ts';
import { Condition, type Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Counter } from '../../metrics/definition.ts';
import type { CpuEnvironment } from './cpu-core.ts';
import { NEVER, Phase, Status, WaitFor } from './cpu-state.ts';
import { TranslatingCpu } from './cpu-translation.ts';

const EMPTY = new Int32Array(0);

export class MemoryCpu extends TranslatingCpu {
  /** The 32-bit word of the access just made: `zone[word]`; EMPTY where memory has no bytes. */
  #zone: Int32Array = EMPTY;
  #word = 0;
  /** What a miss of the current attempt asks for. */
  #missKind: RequestKind = RequestKind.Write;
  /** Clock after an access that a handler skipped, or that a grant performed: every other access
   * moves the clock on, so equality tells what the access just made was. */
  #skippedAt = -1;
  #grantedAt = -1;
  readonly #l1Tags: Int32Array;
  readonly #l1Ways: number;
  readonly #l1SetMask: number;
  readonly #l1TagShiftHi: number;
  readonly #l1TagShiftLo: number;
  // The parked condition.
  #conditionKind = 0;
  #conditionMask = 0;
  #conditionOperand = 0;
  #conditionDeadline = NEVER;
  #conditionValue = 0;

  constructor(id: number, environment: CpuEnvironment) {
    super(id, environment);
    this.#l1Tags = this.l1d.tags;
    this.#l1Ways = this.l1d.ways;
    this.#l1SetMask = this.l1d.setMask;
    this.#l1TagShiftHi = 26 - this.l1d.setBits;
    this.#l1TagShiftLo = 6 + this.l1d.setBits;
  }

  /** One access; true: performed, `zone[word]` is the word. `write`: 1 needs the line exclusive. */
  #access(aHi: number, aLo: number, write: number): boolean {
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
      if ((entry & ~3) !== key) entry = this.#moveToFront(base, key);
      if ((entry & 3) > write) {
        if (write === 1) tags[base] = entry | LineState.Modified;
        this.clock += this.l1LatencyPs;
        this.counters[Counter.L1Hits] = this.counters[Counter.L1Hits]! + 1;
        this.#zone = this.pageZone;
        this.#word = paLo >>> 2;
        this.accessPaHi = paHi;
        this.accessPaLo = paLo;
        if (this.environment.witness !== null) {
          this.#testifyAt(paHi, paLo, write, this.clock - this.l1LatencyPs);
        }
        return true;
      }
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
      this.#zone = EMPTY;
      this.#skippedAt = this.clock;
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
    const way = this.l1d.find(hi, lo);
    if (way >= 0 && this.l1d.stateAt(way) > write) {
      this.l1d.touch(hi, lo);
      if (write === 1) this.l1d.setState(this.l1d.find(hi, lo), LineState.Modified);
      this.clock += this.l1LatencyPs;
      this.counters[Counter.L1Hits] = this.counters[Counter.L1Hits]! + 1;
    } else {
      const state = this.hitL2(hi, lo, write);
      if (state === LineState.Invalid) {
        this.setPhase(Phase.Translated);
        this.ask(hi, lo, write === 1 ? this.#missKind : RequestKind.Read, WaitFor.Data, 0);
        return this.refuse();
      }
      this.copyToL1d(hi, lo, state);
      this.counters[Counter.L2Hits] = this.counters[Counter.L2Hits]! + 1;
    }
    this.setPhase(Phase.None);
    this.#locate(hi, lo);
    if (this.environment.witness !== null) this.#testifyAt(hi, lo, write, start);
    return true;
  }

  /** The line that this attempt asked for is here: the access takes effect at the grant (ER-D5). */
  #performGranted(write: number): boolean {
    this.setPhase(Phase.None);
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    if (write === 1) this.#dirty(hi, lo);
    if (this.environment.witness !== null) this.#testifyAt(hi, lo, write, this.clock);
    this.clock += 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    this.#grantedAt = this.clock;
    this.#locate(hi, lo);
    return true;
  }

  #dirty(hi: number, lo: number): void {
    const l1 = this.l1d.find(hi, lo);
    assert(l1 >= 0, 'a granted line is in the L1D');
    this.l1d.setState(l1, LineState.Modified);
  }

  #locate(paHi: number, paLo: number): void {
    this.#word = paLo >>> 2;
    this.#zone = this.zoneOf(paHi, paLo);
  }

  #testifyAt(paHi: number, paLo: number, write: number, atPs: number): void {
    this.environment.witness!.access(this.id, paHi, paLo, write === 1, atPs);
  }

  /** Additional time of a read-modify-write on an owned line; after a grant the transfer is the cost. */
  #chargeAtomic(): void {
    if (this.clock !== this.#grantedAt) this.spend(Cost.Atomic);
  }

  load32(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 0)) return false;
    this.lo = this.#word < this.#zone.length ? this.#zone[this.#word]! : 0;
    this.hi = 0;
    return true;
  }

  load64(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 0)) return false;
    const zone = this.#zone;
    const word = this.#word;
    if (word + 1 < zone.length) {
      this.lo = zone[word]!;
      this.hi = zone[word + 1]!;
    } else {
      this.lo = 0;
      this.hi = 0;
    }
    return true;
  }

  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    if (this.#word < this.#zone.length) this.#zone[this.#word] = value;
    return true;
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    const zone = this.#zone;
    const word = this.#word;
    if (word + 1 < zone.length) {
      zone[word] = vLo;
      zone[word + 1] = vHi;
    }
    return true;
  }

  /** Reads the old value of an atomic into lo (and hi). */
  #old(wide: boolean): void {
    this.lo = this.#read(0);
    this.hi = wide ? this.#read(1) : 0;
  }

  #read(offset: number): number {
    const at = this.#word + offset;
    return at < this.#zone.length ? this.#zone[at]! : 0;
  }

  #write(offset: number, value: number): void {
    const at = this.#word + offset;
    if (at < this.#zone.length) this.#zone[at] = value;
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(false);
    this.ok = this.clock !== this.#skippedAt && this.lo === (expected | 0);
    if (this.ok) this.#write(0, desired);
    this.#chargeAtomic();
    return true;
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
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(true);
    this.ok = this.clock !== this.#skippedAt && this.lo === (eLo | 0) && this.hi === (eHi | 0);
    if (this.ok) {
      this.#write(0, dLo);
      this.#write(1, dHi);
    }
    this.#chargeAtomic();
    return true;
  }

  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(false);
    this.#write(0, value);
    this.#chargeAtomic();
    return true;
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(true);
    this.#write(0, vLo);
    this.#write(1, vHi);
    this.#chargeAtomic();
    return true;
  }

  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(false);
    this.#write(0, (this.lo + value) | 0);
    this.#chargeAtomic();
    return true;
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(true);
    const low = (this.lo >>> 0) + (vLo >>> 0);
    this.#write(0, low | 0);
    this.#write(1, (this.hi + vHi + (low >= 0x1_0000_0000 ? 1 : 0)) | 0);
    this.#chargeAtomic();
    return true;
  }

  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(false);
    this.#write(0, this.lo | bits);
    this.#chargeAtomic();
    return true;
  }

  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#old(false);
    this.#write(0, this.lo & ~bits);
    this.#chargeAtomic();
    return true;
  }

  load8(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 0)) return false;
    this.lo = (this.#read(0) >>> ((aLo & 3) * 8)) & 0xff;
    this.hi = 0;
    return true;
  }

  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#writePart((aLo & 3) * 8, 0xff, value);
    return true;
  }

  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    this.#writePart((aLo & 2) * 8, 0xffff, value);
    return true;
  }

  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.#access(aHi, aLo, 1)) return false;
    const shift = (aLo & 2) * 8;
    const old = (this.#read(0) >>> shift) & 0xffff;
    this.#writePart(shift, 0xffff, value);
    this.lo = old;
    this.hi = 0;
    this.#chargeAtomic();
    return true;
  }

  #writePart(shift: number, mask: number, value: number): void {
    this.#write(0, (this.#read(0) & ~(mask << shift)) | ((value & mask) << shift));
  }

  /** Fetch: instruction TLB, L1I, then the L2 and the home. */
  fetch(aHi: number, aLo: number): boolean {
    if (this.phaseOfAttempt === Phase.Granted || this.phaseOfAttempt === Phase.Skip) {
      this.setPhase(Phase.None);
      this.clock += 1;
      return this.#fetched();
    }
    if (this.phaseOfAttempt === Phase.Translated && this.takeMark()) this.setPhase(Phase.None);
    if (this.phaseOfAttempt !== Phase.Translated && !this.translateFetch(aHi, aLo)) {
      return this.refuse();
    }
    this.setPhase(Phase.Translated);
    if (this.clock >= this.limit) return this.refuse();
    const hi = this.accessPaHi;
    const lo = this.accessPaLo;
    if (this.l1i.touch(hi, lo) !== LineState.Invalid) {
      this.clock += this.machine.l1i.latencyPs;
    } else if (this.hitL2(hi, lo, 0) !== LineState.Invalid) {
      this.copyToL1i(hi, lo);
    } else {
      this.ask(hi, lo, RequestKind.Fetch, WaitFor.Fetch, 0);
      return this.refuse();
    }
    this.setPhase(Phase.None);
    return this.#fetched();
  }

  #fetched(): boolean {
    this.counters[Counter.Fetches] = this.counters[Counter.Fetches]! + 1;
    if (this.stallUntil > this.clock) this.clock = this.stallUntil;
    return true;
  }

  zeroLine(aHi: number, aLo: number): boolean {
    this.#missKind = RequestKind.WriteNoData;
    const performed = this.#access(aHi, aLo & ~63, 1);
    this.#missKind = RequestKind.Write;
    if (!performed) return false;
    for (let offset = 0; offset < 16; offset++) this.#write(offset, 0);
    return true;
  }

  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    order: Order,
  ): boolean {
    return this.cond32Until(aHi, aLo, kind, mask, operand, NEVER, order);
  }

  cond32Until(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
    _order: Order,
  ): boolean {
    if (this.phaseOfAttempt === Phase.CondHeld || this.phaseOfAttempt === Phase.CondExpired) {
      this.ok = this.phaseOfAttempt === Phase.CondHeld;
      this.lo = this.#conditionValue;
      this.hi = 0;
      this.setPhase(Phase.None);
      this.clock += 1;
      if (this.stallUntil > this.clock) this.clock = this.stallUntil;
      return true;
    }
    if (!this.#access(aHi, aLo, 0)) return false;
    this.lo = this.#read(0);
    this.hi = 0;
    this.ok = this.clock !== this.#skippedAt && holds(this.lo, kind, mask, operand);
    if (this.ok || this.clock >= deadline || this.clock === this.#skippedAt) return true;
    this.noteAddress(aHi, aLo);
    this.#park(kind, mask, operand, deadline);
    return this.refuse();
  }

  #park(kind: number, mask: number, operand: number, deadline: number): void {
    this.#conditionKind = kind;
    this.#conditionMask = mask;
    this.#conditionOperand = operand;
    this.#conditionDeadline = deadline;
    this.#conditionValue = this.lo;
    this.parkedHi = this.accessPaHi;
    this.parkedLo = this.accessPaLo;
    this.status = Status.Parked;
    this.nextPs = deadline;
  }

  /** The engine wakes a parked condition after the loss of its line: asks for the line again. */
  protected wakeCondition(): void {
    this.clock = Math.max(this.clock, this.nextPs);
    this.ask(this.parkedHi, this.parkedLo, RequestKind.Read, WaitFor.Condition, 0);
  }

  /** The line of a parked condition is granted: evaluates it, without the program. */
  protected evaluateCondition(): void {
    const value = this.zoneOf(this.parkedHi, this.parkedLo)[this.parkedLo >>> 2];
    this.#conditionValue = value === undefined ? 0 : value;
    if (this.environment.witness !== null) {
      this.#testifyAt(this.parkedHi, this.parkedLo, 0, this.clock);
    }
    const { clock } = this;
    if (
      holds(this.#conditionValue, this.#conditionKind, this.#conditionMask, this.#conditionOperand)
    ) {
      this.setPhase(Phase.CondHeld);
      this.nextPs = clock;
    } else if (clock >= this.#conditionDeadline) {
      this.setPhase(Phase.CondExpired);
      this.nextPs = clock;
    } else {
      this.status = Status.Parked;
      this.nextPs = this.#conditionDeadline;
    }
  }

  /** The deadline of a parked condition has come. */
  protected expireCondition(): void {
    this.clock = Math.max(this.clock, this.#conditionDeadline);
    this.status = Status.Run;
    this.setPhase(Phase.CondExpired);
  }

  protected get conditionDeadline(): number {
    return this.#conditionDeadline;
  }
}

function holds(value: number, kind: number, mask: number, operand: number): boolean {
  const masked = value & mask;
  switch (kind) {
    case Condition.Equal:
      return masked === (operand | 0);
    case Condition.NotEqual:
      return masked !== (operand | 0);
    case Condition.AtLeastWrapping:
      return ((masked - operand) | 0) >= 0;
    case Condition.AnyBitClear:
      return masked !== mask;
    default:
      return masked !== 0;
  }
}
