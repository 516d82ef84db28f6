/**
 * A schedule as a plan that may be cut: runs of one agent's steps, each up to a count of that
 * agent's own steps. A run that is left out is caught up by the agent's next one, an agent that
 * can't go on is passed over, and after the last run the CPU at work goes on. So every subset of a
 * plan is a schedule, which is what a minimiser needs (concurrency testing: ddmin over context
 * switches).
 */

import { type Execution, StepKind } from '../engine/explore/execution.ts';
import type { Strategy } from '../engine/explore/strategy.ts';

export interface Segment {
  /** 0 programs, 1 store-buffer drains, ... as agents are numbered. */
  readonly block: number;
  readonly cpu: number;
  /** The agent has taken so many steps when the segment ends. */
  readonly until: number;
}

export interface Plan {
  readonly segments: readonly Segment[];
  /** Deadlines that pass and the like, in the order in which they are asked; 0 beyond. */
  readonly values: readonly number[];
  /**
   * Drains that keep their place, as drainKey; all others follow their store at once. null: all
   * keep it.
   */
  readonly late: ReadonlySet<number> | null;
}

export const Block = { Program: 0, Drain: 1, Delivery: 2, Interrupt: 3, Walker: 4 } as const;

/** After the plan one CPU may go on so long before others get their turns again. */
const ALONE_STEPS = 200;
const DRAINS_MAX = 1 << 16;

/** Names the n-th drain (from 0) of a CPU. */
export function drainKey(cpu: number, nth: number): number {
  return cpu * DRAINS_MAX + nth;
}

/** The plan that repeats a schedule, agent by agent. */
export function planOf(agents: ArrayLike<number>, values: ArrayLike<number>, cpus: number): Plan {
  const taken = new Map<number, number>();
  const segments: Segment[] = [];
  let last = -1;
  for (let i = 0; i < agents.length; i++) {
    const agent = agents[i]!;
    const until = (taken.get(agent) ?? 0) + 1;
    taken.set(agent, until);
    if (agent === last) segments.pop();
    segments.push({ block: Math.floor(agent / cpus), cpu: agent % cpus, until });
    last = agent;
  }
  return { segments, values: Array.from(values), late: null };
}

export class Guide implements Strategy {
  readonly name = 'guide';
  readonly #plan: Plan;
  #at = 0;
  #asked = 0;
  #current = 0;
  /** Step at which the plan was used up. */
  #endStep = Number.POSITIVE_INFINITY;
  #taken = new Uint32Array(0);

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  get fairFrom(): number {
    return this.#endStep + ALONE_STEPS;
  }

  begin(_schedule: number, execution: Execution): void {
    this.#endStep = Number.POSITIVE_INFINITY;
    this.#at = this.#asked = this.#current = 0;
    this.#taken = new Uint32Array(execution.agentCount);
  }

  chooseAgent(execution: Execution): number {
    const drain = this.#eagerDrain(execution);
    if (drain >= 0) return drain;
    const { segments } = this.#plan;
    const { cpuCount } = execution;
    for (; this.#at < segments.length; this.#at++) {
      const { block, cpu, until } = segments[this.#at]!;
      const agent = block * cpuCount + cpu;
      if (this.#taken[agent]! >= until) continue;
      if (isEnabled(execution, agent)) return agent;
      const first = block === Block.Program ? ownDrain(execution, cpu) : -1;
      if (first >= 0) return first;
    }
    return this.#continued(execution);
  }

  chooseValue(count: number): number {
    const value = this.#plan.values[this.#asked++] ?? 0;
    return value < count ? value : 0;
  }

  taken(agent: number, execution: Execution): void {
    this.#taken[agent]!++;
    if (agent < execution.cpuCount) this.#current = agent;
  }

  #eagerDrain(execution: Execution): number {
    const { late } = this.#plan;
    if (late === null) return -1;
    const { cpuCount, kind } = execution;
    for (let cpu = 0; cpu < cpuCount; cpu++) {
      const agent = cpuCount + cpu;
      if (kind[agent] !== StepKind.Drain || !isEnabled(execution, agent)) continue;
      if (!late.has(drainKey(cpu, this.#taken[agent]!))) return agent;
    }
    return -1;
  }

  /** The CPU at work, else the next program round, else whoever can; in turns if it never ends. */
  #continued(execution: Execution): number {
    if (this.#endStep === Number.POSITIVE_INFINITY) this.#endStep = execution.stepCount;
    if (execution.stepCount >= this.fairFrom) {
      return execution.enabled[execution.stepCount % execution.enabledCount]!;
    }
    const { cpuCount, enabled, kind } = execution;
    let fallback = -1;
    for (let i = 0; i < cpuCount; i++) {
      const agent = (this.#current + i) % cpuCount;
      if (!isEnabled(execution, agent)) continue;
      if (kind[agent] !== StepKind.Expire) return agent;
      if (fallback < 0) fallback = agent;
    }
    for (let i = 0; i < execution.enabledCount; i++) {
      if (enabled[i]! >= cpuCount) return enabled[i]!;
    }
    return fallback;
  }
}

/** The drain that the CPU's own next step has to wait for; -1: it waits for something else. */
export function ownDrain(execution: Execution, cpu: number): number {
  const drain = execution.cpuCount + cpu;
  const waitsForOthers =
    execution.kind[cpu] === StepKind.Await || execution.kind[cpu] === StepKind.Idle;
  return !waitsForOthers && isEnabled(execution, drain) ? drain : -1;
}

export function isEnabled(execution: Execution, agent: number): boolean {
  const { enabled, enabledCount } = execution;
  for (let i = 0; i < enabledCount; i++) if (enabled[i] === agent) return true;
  return false;
}
