/**
 * Waiting for a word (smp_cond_load): registered, tested again, then asleep on the CPU's own bell
 * (ER-H2). A TLBI that comes meanwhile is served, and the attempt starts afresh: its address may
 * mean another word now. With more CPUs than cores nothing here spins (ER-H8): a condition that
 * does not hold always sleeps.
 */

import { type Condition, conditionHolds, type Order } from '../../cpu/operations.ts';
import { Block, State } from './control.ts';
import { WAIT_TIMEOUT_MS } from './doorbell.ts';
import { HostCpuMemory } from './host-cpu-memory.ts';
import { RIGHT } from './host-walk.ts';
import { Op } from './trace.ts';

const PS_PER_MS = 1_000_000_000;
const NEVER = Number.POSITIVE_INFINITY;

export abstract class HostCpuCondition extends HostCpuMemory {
  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    _order: Order,
  ): boolean {
    return this.#condition(Op.cond, aHi, aLo, kind, mask, operand, NEVER);
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
    return this.#condition(Op.condUntil, aHi, aLo, kind, mask, operand, deadline);
  }

  #condition(
    operation: number,
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
  ): boolean {
    if (!this.reach(operation, aHi, aLo, RIGHT.Read)) return this.refused();
    const { paHi, paLo } = this;
    if (this.#test(paHi, paLo, kind, mask, operand, deadline)) return this.#leave();
    this.bell.listen();
    this.bell.register(paHi, paLo);
    this.#describeWait(aHi, aLo, kind, mask, operand);
    if (this.#test(paHi, paLo, kind, mask, operand, deadline)) return this.#leave();
    // Whatever was posted before listen() is served now; what comes later rings the bell.
    if (this.serveMailbox() || this.interruptDue()) return this.refused();
    const limitMs = this.#limitMs(deadline);
    const rung = this.bell.sleep(limitMs);
    if (!this.#test(paHi, paLo, kind, mask, operand, deadline)) return this.refused();
    if (this.ok && !rung && limitMs === WAIT_TIMEOUT_MS) this.bell.auditTimeout();
    return this.#leave();
  }

  #leave(): true {
    this.bell.unregister();
    this.setState(State.Running);
    return true;
  }

  #test(
    paHi: number,
    paLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
  ): boolean {
    const value = this.memory.load32(paHi, paLo);
    this.ok = conditionHolds(value & mask, kind, mask, operand);
    if (!this.ok && (deadline === NEVER || !this.expired(deadline))) return false;
    return this.result(value);
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
}
