/**
 * One CPU of the host engine: what an attempt that is no memory access does. TLBIs and interrupts
 * go to the mailboxes of their targets; DSB and idle() sleep on the CPU's own bell.
 */

import { BugError } from '../../base/errors.ts';
import type { Cpu, Handler } from '../../cpu/cpu.ts';
import {
  type Exception,
  isBroadcast,
  type Level,
  type Regime,
  type Register,
  type Scope,
  type Tlbi,
} from '../../cpu/operations.ts';
import { Block, blockOf, Global, State, VECTORS } from './control.ts';
import { HostCpuMemory } from './host-cpu-memory.ts';

export class HostCpu extends HostCpuMemory implements Cpu {
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
  #idling = false;
  /** By CPU: number of the last TLBI that this CPU has posted there and not seen served. */
  readonly #owed = new Map<number, number>();

  protected override get self(): Cpu {
    return this;
  }

  translate(aHi: number, aLo: number, _write: boolean): boolean {
    if (!this.serve()) return false;
    this.hi = this.physicalHi(aHi, aLo);
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
