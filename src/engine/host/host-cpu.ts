/**
 * One CPU of the host engine: the CPU operations as real atomics of one worker thread. Attempts on
 * memory are always performed at once, unless an interrupt is due; conditional loads and idle() sleep
 * on the CPU's own bell.
 *
 * Only linear-map addresses so far: page tables are walked by the engines that emulate time or steps.
 */

import { BugError } from '../../base/errors.ts';
import type { Cpu, Handler } from '../../cpu/cpu.ts';
import {
  Condition,
  type Exception,
  type Fence,
  isBroadcast,
  type Level,
  type Order,
  Regime,
  type Register,
  type Scope,
  type Tlbi,
} from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Block, blockOf, Global, State, VECTORS } from './control.ts';
import { WAIT_TIMEOUT_MS } from './doorbell.ts';
import { HostCpuCore } from './host-cpu-core.ts';
import { HostMemory } from './host-memory.ts';
import type { HostTask } from './spec.ts';

const PS_PER_MS = 1_000_000_000;
const NEVER = Number.POSITIVE_INFINITY;

export class HostCpu extends HostCpuCore implements Cpu {
  readonly backedBytes: number;
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
  readonly #memory: HostMemory;
  #idling = false;
  /** By CPU: number of the last TLBI that this CPU has posted there and not seen served. */
  readonly #owed = new Map<number, number>();

  constructor(task: HostTask) {
    super(task);
    this.backedBytes = task.spec.memory.backedBytes;
    this.#memory = new HostMemory(new PhysicalMemory(task.spec.memory));
  }

  protected override get self(): Cpu {
    return this;
  }

  /** High half of the physical address; the low half is the virtual one's. */
  #physicalHi(aHi: number, aLo: number): number {
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

  // ---- memory ---------------------------------------------------------------------------------

  load32(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    return this.#result(this.#memory.load32(this.#physicalHi(aHi, aLo), aLo));
  }

  load64(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    this.#memory.load64(this.#physicalHi(aHi, aLo), aLo);
    return this.#wideResult();
  }

  load8(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const word = this.#memory.load32(this.#physicalHi(aHi, aLo), aLo & ~3);
    return this.#result((word >>> ((aLo & 3) * 8)) & 0xff);
  }

  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.store32(paHi, aLo, value);
    return this.#stored(paHi, aLo);
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.store64(paHi, aLo, vHi, vLo);
    return this.#stored(paHi, aLo);
  }

  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.exchangePart(paHi, aLo, 8, value);
    return this.#stored(paHi, aLo);
  }

  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.exchangePart(paHi, aLo, 16, value);
    return this.#stored(paHi, aLo);
  }

  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#result(this.#memory.exchangePart(paHi, aLo, 16, value));
    return this.#stored(paHi, aLo);
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
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
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.compareExchange64(paHi, aLo, eHi, eLo, dHi, dLo);
    this.#wideResult();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    return this.ok ? this.#stored(paHi, aLo) : true;
  }

  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#result(this.#memory.exchange32(paHi, aLo, value));
    return this.#stored(paHi, aLo);
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.exchange64(paHi, aLo, vHi, vLo);
    this.#wideResult();
    return this.#stored(paHi, aLo);
  }

  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#result(this.#memory.add32(paHi, aLo, value));
    return this.#stored(paHi, aLo);
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#memory.add64(paHi, aLo, vHi, vLo);
    this.#wideResult();
    return this.#stored(paHi, aLo);
  }

  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
    this.#result(this.#memory.or32(paHi, aLo, bits));
    return this.#stored(paHi, aLo);
  }

  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.serve()) return false;
    const paHi = this.#physicalHi(aHi, aLo);
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
    const paHi = this.#physicalHi(aHi, aLo);
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
    this.ok = holds(value & mask, kind, mask, operand);
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
    const paHi = this.#physicalHi(aHi, aLo);
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
    this.#physicalHi(aHi, aLo);
    return this.serve();
  }

  fence(_kind: Fence): boolean {
    return this.serve();
  }

  // ---- translation and system -----------------------------------------------------------------

  translate(aHi: number, aLo: number, _write: boolean): boolean {
    if (!this.serve()) return false;
    this.hi = this.#physicalHi(aHi, aLo);
    this.lo = aLo;
    this.ok = true;
    this.ret = 0;
    return true;
  }

  tlbi(operation: Tlbi, _aHi: number, _aLo: number, _argument: number): boolean {
    if (!this.serve()) return false;
    if (!isBroadcast(operation)) return true;
    for (const cpu of this.task.spec.activeCpus) {
      if (cpu === this.id) continue;
      const posted = blockOf(this.bell.layout, cpu) + Block.TlbiPosted;
      this.#owed.set(cpu, (Atomics.add(this.words, posted, 1) + 1) | 0);
      this.bell.ring(cpu);
    }
    return true;
  }

  dsb(_scope: Scope): boolean {
    if (!this.serve()) return false;
    this.bell.listen();
    this.setState(State.Barrier);
    for (const [cpu, number] of this.#owed) {
      const served = blockOf(this.bell.layout, cpu) + Block.TlbiServed;
      if (((Atomics.load(this.words, served) - number) | 0) >= 0) this.#owed.delete(cpu);
    }
    if (this.#owed.size === 0) {
      this.setState(State.Running);
      return true;
    }
    this.serveMailbox();
    if (!this.interruptDue()) this.bell.sleep();
    return false;
  }

  ipi(target: number, vector: number): boolean {
    if (!this.serve()) return false;
    if (vector < 0 || vector >= VECTORS) throw new BugError(`interrupt vector ${vector}`);
    const block = blockOf(this.bell.layout, target);
    Atomics.add(this.words, Global.InFlight, 1);
    Atomics.add(this.words, block + Block.Vectors + vector, 1);
    Atomics.add(this.words, block + Block.Pending, 1);
    this.bell.ring(target);
    return true;
  }

  wake(target: number): boolean {
    if (!this.serve()) return false;
    Atomics.store(this.words, blockOf(this.bell.layout, target) + Block.Wake, 1);
    this.bell.ring(target);
    return true;
  }

  idle(): boolean {
    if (!this.#idling) this.idleInterrupted = false;
    this.#idling = true;
    if (!this.serve()) return false;
    this.setState(State.Idle);
    this.bell.listen();
    const woken = Atomics.exchange(this.words, this.block + Block.Wake, 0) === 1;
    const pending = Atomics.load(this.words, this.block + Block.Pending) > 0;
    if (woken || pending || this.idleInterrupted) {
      this.#idling = false;
      this.setState(State.Running);
      return true;
    }
    this.publish();
    this.serveMailbox();
    this.bell.sleep();
    return false;
  }

  setRoot(_register: Register, _paHi: number, _paLo: number, _tag: number): boolean {
    return this.serve();
  }

  setRegime(regime: Regime): void {
    this.regime = regime;
  }

  /** Without translation nothing faults, so no vector is ever taken. */
  setVector(_level: Level, _handler: Handler): void {}

  skipAttempt(): void {
    throw new BugError('skipAttempt outside an exception handler');
  }
}

function holds(masked: number, kind: Condition, mask: number, operand: number): boolean {
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
