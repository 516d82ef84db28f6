/**
 * What a failing schedule costs its reader. A context switch is a change of the CPU at work. It is
 * a preemption if the CPU left could have gone on; else that CPU had ended or waited, and somebody
 * else had to run. Preemptions are what a mistake of depth d needs d of at most (CHESS, PLDI 2007:
 * preemption bound; PCT, ASPLOS 2010: depth): the other switches follow from the program.
 *
 * Choices: drains and deliveries happen beside the CPUs and switch nothing. A CPU that waits for
 * its own stores or for its walker could have gone on; one whose deadline alone could end a wait
 * could not, nor could one that only an interrupt would wake: both come from outside.
 */

import { type Execution, StepKind } from '../engine/explore/execution.ts';
import type { Strategy } from '../engine/explore/strategy.ts';
import { Block, isEnabled, ownDrain } from './guide.ts';
import type { StressSize } from './target.ts';

/** A schedule that failed. */
export interface FailedSchedule {
  readonly size: StressSize;
  /** In the order of steps, up to the failure. */
  readonly agents: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  readonly preemptions: number;
  /** Stores that were still in a buffer at the failure. */
  readonly undrained: number;
  /** Oracle and field: two failures with one signature are the same failure. */
  readonly signature: string;
}

export interface Cost {
  readonly switches: number;
  readonly preemptions: number;
  readonly lateStores: number;
  readonly values: number;
  readonly steps: number;
}

/** A drain that does not follow a step of its CPU at once is a late store. */
export function costOf(failure: FailedSchedule): Cost {
  const { agents, values, size, undrained, preemptions } = failure;
  const { cpus } = size;
  let switches = 0;
  let lateStores = undrained;
  let atWork = -1;
  let lastCpu = -1;
  for (let i = 0; i < agents.length; i++) {
    const block = Math.floor(agents[i]! / cpus);
    const cpu = agents[i]! % cpus;
    if (block === Block.Drain) {
      if (cpu !== lastCpu) lateStores++;
    } else if (block !== Block.Delivery) {
      if (atWork >= 0 && cpu !== atWork) switches++;
      atWork = cpu;
    }
    lastCpu = cpu;
  }
  let chosen = 0;
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) chosen++;
  return { switches, preemptions, lateStores, values: chosen, steps: agents.length };
}

/** What a reader has to follow. */
export function lengthOf({ switches, lateStores }: Cost): number {
  return switches + lateStores;
}

/** Below 0: a is the better one. */
export function compareCosts(a: Cost, b: Cost): number {
  return (
    lengthOf(a) - lengthOf(b) ||
    a.preemptions - b.preemptions ||
    a.lateStores - b.lateStores ||
    a.values - b.values ||
    a.steps - b.steps
  );
}

/** Another strategy, whose preemptions are noted. */
export class PreemptionNotes implements Strategy {
  readonly name: string;
  readonly #inner: Strategy;
  /** Steps before which a CPU was left that could have gone on, ascending. */
  readonly #steps: number[] = [];
  #atWork = -1;

  constructor(inner: Strategy) {
    this.#inner = inner;
    this.name = inner.name;
  }

  /** Among the first so many steps. */
  within(steps: number): number {
    const beyond = this.#steps.findIndex((step) => step >= steps);
    return beyond < 0 ? this.#steps.length : beyond;
  }

  get fairFrom(): number {
    return this.#inner.fairFrom ?? Number.POSITIVE_INFINITY;
  }

  begin(schedule: number, execution: Execution): void {
    this.#steps.length = 0;
    this.#atWork = -1;
    this.#inner.begin(schedule, execution);
  }

  chooseAgent(execution: Execution): number {
    const agent = this.#inner.chooseAgent(execution);
    const { cpuCount } = execution;
    const block = Math.floor(agent / cpuCount);
    if (block === Block.Drain || block === Block.Delivery) return agent;
    const cpu = agent % cpuCount;
    if (this.#atWork >= 0 && cpu !== this.#atWork && canGoOn(execution, this.#atWork)) {
      this.#steps.push(execution.stepCount);
    }
    this.#atWork = cpu;
    return agent;
  }

  chooseValue(count: number, execution: Execution): number {
    return this.#inner.chooseValue(count, execution);
  }

  taken(agent: number, execution: Execution): void {
    this.#inner.taken?.(agent, execution);
  }
}

function canGoOn(execution: Execution, cpu: number): boolean {
  const { kind, cpuCount } = execution;
  if (isEnabled(execution, cpu)) return kind[cpu] !== StepKind.Expire;
  if (isEnabled(execution, Block.Walker * cpuCount + cpu)) return true;
  return kind[cpu] !== StepKind.None && ownDrain(execution, cpu) >= 0;
}
