/**
 * Conditional loads (smp_cond_load, WFE): the CPU parks on its line, and the engine itself
 * evaluates the condition on each new value; the program is resumed only when it holds. Load and
 * sleep are one attempt, performed while the line is held, so any later change must take the line
 * away, and any invalidation of the line wakes (ER-W1). The herd's reads are real traffic (ER-W4).
 */

import { RequestKind } from '../../cache/line-state.ts';
import { type Condition, conditionHolds, type Order } from '../../cpu/operations.ts';
import { MemoryCpu } from './cpu-memory.ts';
import { NEVER, Phase, Status, WaitFor } from './cpu-state.ts';

export class ConditionCpu extends MemoryCpu {
  #conditionKind = 0;
  #conditionMask = 0;
  #conditionOperand = 0;
  #conditionDeadline = NEVER;
  #conditionValue = 0;

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
    if (!this.access(aHi, aLo, 0)) return false;
    this.lo = this.readWord(0);
    this.hi = 0;
    this.ok = this.clock !== this.skippedAt && conditionHolds(this.lo, kind, mask, operand);
    if (this.ok || this.clock >= deadline || this.clock === this.skippedAt) return true;
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
    this.#sleep();
  }

  /** Until the line is lost, the deadline, or an interrupt, which may be on its way already. */
  #sleep(): void {
    this.status = Status.Parked;
    this.parkedPs = this.clock;
    const interrupt = Math.max(this.clock, this.interruptDue());
    this.nextPs = Math.min(this.#conditionDeadline, interrupt);
  }

  /** Arrival of the earliest interrupt that may be taken. */
  protected interruptDue(): number {
    return NEVER;
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
    if (this.witness !== null) {
      this.testifyAt(this.parkedHi, this.parkedLo, 0, this.clock);
    }
    const { clock } = this;
    if (
      conditionHolds(
        this.#conditionValue,
        this.#conditionKind,
        this.#conditionMask,
        this.#conditionOperand,
      )
    ) {
      this.setPhase(Phase.CondHeld);
      this.nextPs = clock;
    } else if (clock >= this.#conditionDeadline) {
      this.setPhase(Phase.CondExpired);
      this.nextPs = clock;
    } else {
      this.#sleep();
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
