/**
 * Memory attempts of the host engine's CPU: real atomics of one worker thread, performed at once
 * unless an interrupt is due; conditional loads sleep on the CPU's own bell.
 *
 * Only linear-map addresses so far: page tables are walked by the engines that emulate time or
 * steps.
 */

import { BugError } from '../../base/errors.ts';
import {
  type Condition,
  conditionHolds,
  type Fence,
  type Order,
  Regime,
} from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Block, State } from './control.ts';
import { WAIT_TIMEOUT_MS } from './doorbell.ts';
import { HostCpuCore } from './host-cpu-core.ts';
import { HostMemory } from './host-memory.ts';
import type { HostTask } from './spec.ts';

const PS_PER_MS = 1_000_000_000;
const NEVER = Number.POSITIVE_INFINITY;

export abstract class HostCpuMemory extends HostCpuCore {
  readonly backedBytes: number;
  regime: Regime = Regime.Host;
  readonly #memory: HostMemory;

  constructor(task: HostTask) {
    super(task);
    this.backedBytes = task.spec.memory.backedBytes;
    this.#memory = new HostMemory(new PhysicalMemory(task.spec.memory));
  }

  /** High half of the physical address; the low half is the virtual one's. */
  protected physicalHi(aHi: number, aLo: number): number {
    if ((aHi & LINEAR_MAP_HI) !== LINEAR_MAP_HI || this.regime !== Regime.Host) {
      const address = `${(aHi >>> 0).toString(16)}:${(aLo >>> 0).toString(16)}`;
      throw new BugError(`the host engine does not translate; access to ${address}`);
    }
    return aHi & 0xffff;
  }

  #result(value: number): true {
    this.lo = value;
    this.hi = 0;
    return true;
  }

  #wideResult(): true {
    this.lo = this.#memory.lo;
    this.hi = this.#memory.hi;
    return true;
  }

  /** The word has changed: wake who waits for it. */
  #stored(paHi: number, aLo: number): true {
    this.bell.announce(paHi, aLo);
    return true;
  }

  load32(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    return this.#result(this.#memory.load32(this.physicalHi(aHi, aLo), aLo));
  }

  load64(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    this.#memory.load64(this.physicalHi(aHi, aLo), aLo);
    return this.#wideResult();
  }

  load8(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const word = this.#memory.load32(this.physicalHi(aHi, aLo), aLo & ~3);
    return this.#result((word >>> ((aLo & 3) * 8)) & 0xff);
  }

  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.store32(paHi, aLo, value);
    return this.#stored(paHi, aLo);
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.store64(paHi, aLo, vHi, vLo);
    return this.#stored(paHi, aLo);
  }

  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.exchangePart(paHi, aLo, 8, value);
    return this.#stored(paHi, aLo);
  }

  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.exchangePart(paHi, aLo, 16, value);
    return this.#stored(paHi, aLo);
  }

  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.exchangePart(paHi, aLo, 16, value));
    return this.#stored(paHi, aLo);
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.compareExchange32(paHi, aLo, expected, desired));
    this.ok = this.lo === (expected | 0);
    return this.ok ? this.#stored(paHi, aLo) : true;
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
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.compareExchange64(paHi, aLo, eHi, eLo, dHi, dLo);
    this.#wideResult();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    return this.ok ? this.#stored(paHi, aLo) : true;
  }

  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.exchange32(paHi, aLo, value));
    return this.#stored(paHi, aLo);
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.exchange64(paHi, aLo, vHi, vLo);
    this.#wideResult();
    return this.#stored(paHi, aLo);
  }

  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.add32(paHi, aLo, value));
    return this.#stored(paHi, aLo);
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#memory.add64(paHi, aLo, vHi, vLo);
    this.#wideResult();
    return this.#stored(paHi, aLo);
  }

  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.or32(paHi, aLo, bits));
    return this.#stored(paHi, aLo);
  }

  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    this.#result(this.#memory.and32(paHi, aLo, ~bits));
    return this.#stored(paHi, aLo);
  }

  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    _order: Order,
  ): boolean {
    return this.#condition(aHi, aLo, kind, mask, operand, NEVER);
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
    return this.#condition(aHi, aLo, kind, mask, operand, deadline);
  }

  #condition(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
  ): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    if (this.#tryCondition(paHi, aLo, kind, mask, operand, deadline)) return true;
    this.bell.listen();
    this.bell.register(paHi, aLo);
    this.#describeWait(aHi, aLo, kind, mask, operand);
    let performed = this.#tryCondition(paHi, aLo, kind, mask, operand, deadline);
    // Whatever was posted before listen() is served now; what comes later rings the bell.
    if (!performed) this.serveMailbox();
    if (!performed && !this.interruptDue()) {
      const limitMs = this.#limitMs(deadline);
      const rung = this.bell.sleep(limitMs);
      performed = this.#tryCondition(paHi, aLo, kind, mask, operand, deadline);
      if (performed && this.ok && !rung && limitMs === WAIT_TIMEOUT_MS) this.bell.auditTimeout();
    }
    if (performed) {
      this.bell.unregister();
      this.setState(State.Running);
    }
    return performed;
  }

  #tryCondition(
    paHi: number,
    paLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
  ): boolean {
    const value = this.#memory.load32(paHi, paLo);
    this.ok = conditionHolds(value & mask, kind, mask, operand);
    if (!this.ok && (deadline === NEVER || !this.expired(deadline))) return false;
    return this.#result(value);
  }

  #limitMs(deadline: number): number {
    if (deadline === NEVER) return WAIT_TIMEOUT_MS;
    const leftMs = (deadline - this.deadline(0)) / PS_PER_MS;
    return Math.max(0, Math.min(WAIT_TIMEOUT_MS, leftMs));
  }

  #describeWait(aHi: number, aLo: number, kind: number, mask: number, operand: number): void {
    const { words, block } = this;
    words[block + Block.WaitHi] = aHi;
    words[block + Block.WaitLo] = aLo;
    words[block + Block.WaitKind] = kind;
    words[block + Block.WaitMask] = mask;
    words[block + Block.WaitOperand] = operand;
    this.publish();
    this.setState(State.Condition);
  }

  zeroLine(aHi: number, aLo: number): boolean {
    if (!this.serve()) return false;
    const paHi = this.physicalHi(aHi, aLo);
    for (let i = 0; i < 64; i += 4) this.#memory.store32(paHi, aLo + i, 0);
    return this.#stored(paHi, aLo);
  }

  cleanInvalidateLine(_aHi: number, _aLo: number): boolean {
    return this.serve();
  }

  /** Memory without bytes: nothing to do. */
  zeroPage(_aHi: number, _aLo: number, _bytes: number): boolean {
    return this.serve();
  }

  copyPage(_dHi: number, _dLo: number, _sHi: number, _sLo: number, _bytes: number): boolean {
    return this.serve();
  }

  cleanInvalidatePage(_aHi: number, _aLo: number, _bytes: number): boolean {
    return this.serve();
  }

  fetch(aHi: number, aLo: number): boolean {
    this.physicalHi(aHi, aLo);
    return this.serve();
  }

  fence(_kind: Fence): boolean {
    return this.serve();
  }
}
