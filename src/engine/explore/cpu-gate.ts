/**
 * The gate that every attempt of a CPU of the explore engine goes through: refused once, which
 * announces it, and passed by its repeat when the scheduler has picked the CPU. An attempt that
 * changes after a refusal, or is repeated without yielding, is a finding about the program.
 */

import { OPERATION_NAMES, type Op } from './attempts.ts';
import { Phase } from './cpu-row.ts';
import { ExploreCpuStack } from './cpu-stack.ts';

export const Gate = { Refuse: 0, Perform: 1, Skip: 2 } as const;
export type Gate = (typeof Gate)[keyof typeof Gate];

export abstract class ExploreCpuGate extends ExploreCpuStack {
  /** Attempts with one operand beside the address, or none. */
  protected gate(op: Op, aHi: number, aLo: number, x0: number, order: number): Gate {
    if (this.gatePhase === Phase.Granted) {
      if (
        op !== this.op ||
        aHi !== this.aHi ||
        aLo !== this.aLo ||
        x0 !== this.x0 ||
        order !== this.order
      ) {
        this.#breaksTheRule(op);
      }
      this.gatePhase = Phase.Free;
      return Gate.Perform;
    }
    const same = op === this.op && aHi === this.aHi && aLo === this.aLo && x0 === this.x0;
    if (this.gatePhase !== Phase.Free) return this.#skipOrFault(op, same && order === this.order);
    this.op = op;
    this.aHi = aHi;
    this.aLo = aLo;
    this.x0 = x0;
    this.order = order;
    this.#announce(op);
    return Gate.Refuse;
  }

  /** Attempts with more operands. */
  protected gateWide(
    op: Op,
    aHi: number,
    aLo: number,
    x0: number,
    x1: number,
    x2: number,
    x3: number,
    order: number,
  ): Gate {
    if (this.gatePhase === Phase.Free) {
      this.op = op;
      this.aHi = aHi;
      this.aLo = aLo;
      this.x0 = x0;
      this.x1 = x1;
      this.x2 = x2;
      this.x3 = x3;
      this.order = order;
      this.#announce(op);
      return Gate.Refuse;
    }
    const same =
      op === this.op &&
      aHi === this.aHi &&
      aLo === this.aLo &&
      x0 === this.x0 &&
      x1 === this.x1 &&
      x2 === this.x2 &&
      x3 === this.x3 &&
      order === this.order;
    if (this.gatePhase !== Phase.Granted) return this.#skipOrFault(op, same);
    if (!same) this.#breaksTheRule(op);
    this.gatePhase = Phase.Free;
    return Gate.Perform;
  }

  #announce(op: Op): void {
    this.gatePhase = Phase.Announced;
    if (this.world.tracer !== null) this.world.tracer.announced(this.id, op);
    this.publish();
  }

  /** The attempt counts as performed, with ok = false, or it is a mistake. */
  #skipOrFault(op: Op, same: boolean): Gate {
    if (this.gatePhase !== Phase.Skipped || !same) this.#breaksTheRule(op);
    this.gatePhase = Phase.Free;
    this.ok = false;
    return Gate.Skip;
  }

  #breaksTheRule(op: Op): never {
    const [was, is] = [OPERATION_NAMES[this.op]!, OPERATION_NAMES[op]!];
    if (this.gatePhase === Phase.Announced) {
      this.fault(
        op === this.op
          ? `repeats ${was} without yielding`
          : `goes on with ${is} after ${was} was refused, without yielding`,
      );
    }
    this.fault(
      op === this.op
        ? `changes the operands of ${was} after a refusal`
        : `makes ${is} of ${was} after a refusal`,
    );
  }
}
