/**
 * One CPU of the host engine: what an attempt that is no memory access does. TLBIs and interrupts
 * go to the mailboxes of their targets; DSB and idle() sleep on the CPU's own bell.
 */

import { BugError } from '../../base/errors.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { isBroadcast, Scope, Tlbi } from '../../cpu/operations.ts';
import { Counter } from '../../metrics/definition.ts';
import { Block, blockOf, Global, State, VECTORS } from './control.ts';
import { HostCpuCondition } from './host-cpu-condition.ts';
import { RIGHT } from './host-walk.ts';
import { Op } from './trace.ts';

/** How long to wait for room in the log of TLBIs before asking again. */
const FULL_LOG_MS = 1;

export class HostCpu extends HostCpuCondition implements Cpu {
  #idling = false;

  protected override get self(): Cpu {
    return this;
  }

  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    const reached =
      operation === Tlbi.IcIvau
        ? this.reach(Op.tlbi, aHi, aLo, RIGHT.Read)
        : this.serve(Op.tlbi, aHi, aLo);
    if (!reached) return this.refused();
    const context = this.translation.contextOfTlbi(operation);
    if (isBroadcast(operation)) {
      this.bell.listen();
      if (!this.tlbis.post(operation, context, aHi, aLo, argument)) {
        this.bell.sleep(FULL_LOG_MS);
        return this.refused();
      }
      this.count(Counter.TlbiBroadcast, 1);
    }
    this.count(Counter.TlbiIssued, 1);
    this.translation.invalidate(operation, context, aHi, aLo, argument);
    return true;
  }

  dsb(scope: Scope): boolean {
    if (!this.serve(Op.dsb, 0, 0)) return this.refused();
    if (scope === Scope.InnerShareable && !this.tlbis.isAcknowledged()) {
      this.bell.listen();
      this.setState(State.Barrier);
      if (!this.tlbis.isAcknowledged()) {
        this.publish();
        this.serveMailbox();
        if (!this.interruptDue()) this.bell.sleep();
        return this.refused();
      }
    }
    this.setState(State.Running);
    this.count(Counter.Dsb, 1);
    return true;
  }

  ipi(target: number, vector: number): boolean {
    if (!this.serve(Op.ipi, target, vector)) return this.refused();
    if (vector < 0 || vector >= VECTORS) throw new BugError(`interrupt vector ${vector}`);
    if (!this.task.spec.activeCpus.includes(target)) {
      throw new BugError(`cpu ${this.id} interrupts cpu ${target}, which takes no part`);
    }
    const block = blockOf(this.bell.layout, target);
    Atomics.add(this.words, Global.InFlight, 1);
    Atomics.add(this.words, block + Block.Vectors + vector, 1);
    Atomics.add(this.words, block + Block.Pending, 1);
    this.count(Counter.IpiSent, 1);
    this.bell.ring(target);
    return true;
  }

  wake(target: number): boolean {
    if (!this.serve(Op.wake, target, 0)) return this.refused();
    Atomics.store(this.words, blockOf(this.bell.layout, target) + Block.Wake, 1);
    this.bell.ring(target);
    return true;
  }

  idle(): boolean {
    if (!this.#idling) this.idleInterrupted = false;
    this.#idling = true;
    if (!this.serve(Op.idle, 0, 0)) return this.refused();
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
    return this.refused();
  }
}
