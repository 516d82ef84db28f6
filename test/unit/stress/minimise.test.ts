/**
 * Promise: a failing schedule of a toy program comes out with no CPU, operation or switch that the
 * failure does not need, and every plan that was cut is a schedule.
 *
 * The toy: each CPU raises a count by load and store, `operations` times; a lost raise fails.
 */

import { describe, expect, it } from 'vitest';
import { type Execution, StepKind } from '../../../src/engine/explore/execution.ts';
import type { Laboratory } from '../../../src/stress/cut-schedule.ts';
import { Guide, type Plan, planOf } from '../../../src/stress/guide.ts';
import { minimise } from '../../../src/stress/minimise.ts';
import { costOf, type FailedSchedule, PreemptionNotes } from '../../../src/stress/schedule-cost.ts';
import type { StressSize } from '../../../src/stress/target.ts';

const SIGNATURE = 'lost-update@count';

class Toy implements Execution {
  readonly cpuCount: number;
  readonly agentCount: number;
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly bytes: Uint8Array;
  readonly enabled: Int32Array;
  enabledCount = 0;
  stepCount = 0;
  count = 0;
  readonly #read: number[];
  readonly #left: number[];

  constructor({ cpus, operations }: StressSize) {
    this.cpuCount = cpus;
    this.agentCount = 5 * cpus;
    this.kind = new Uint8Array(this.agentCount).fill(StepKind.None);
    this.hi = new Int32Array(this.agentCount);
    this.lo = new Int32Array(this.agentCount);
    this.bytes = new Uint8Array(this.agentCount);
    this.enabled = new Int32Array(this.agentCount);
    this.#read = new Array<number>(cpus).fill(0);
    this.#left = new Array<number>(cpus).fill(2 * operations);
    this.#refresh();
  }

  take(cpu: number): void {
    this.stepCount++;
    if (this.#left[cpu]! % 2 === 0) this.#read[cpu] = this.count;
    else this.count = this.#read[cpu]! + 1;
    this.#left[cpu]!--;
    this.#refresh();
  }

  #refresh(): void {
    this.enabledCount = 0;
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      this.kind[cpu] = this.#left[cpu]! > 0 ? StepKind.Read : StepKind.None;
      if (this.#left[cpu]! > 0) this.enabled[this.enabledCount++] = cpu;
    }
  }
}

function runPlan(size: StressSize, plan: Plan): FailedSchedule | null {
  const toy = new Toy(size);
  const guide = new PreemptionNotes(new Guide(plan));
  const agents: number[] = [];
  guide.begin(0, toy);
  while (toy.enabledCount > 0) {
    const agent = guide.chooseAgent(toy);
    toy.take(agent);
    guide.taken(agent, toy);
    agents.push(agent);
  }
  if (toy.count === size.cpus * size.operations) return null;
  const preemptions = guide.within(agents.length);
  return { size, agents, values: [], preemptions, undrained: 0, signature: SIGNATURE };
}

const LABORATORY: Laboratory = {
  run: runPlan,
  search: () => null,
  another: () => null,
  expired: () => false,
};

function failing(size: StressSize, agents: readonly number[]): FailedSchedule {
  return runPlan(size, planOf(agents, [], size.cpus))!;
}

describe('a plan', () => {
  it('repeats its schedule', () => {
    const agents = [0, 1, 1, 0, 2, 0, 2, 0, 1, 2, 1, 2];
    expect(failing({ cpus: 3, operations: 2 }, agents).agents).toEqual(agents);
  });

  it('with parts left out is a schedule still', () => {
    const plan = planOf([0, 1, 1, 0, 2, 0, 2, 0, 1, 2, 1, 2], [], 3);
    for (let i = 0; i < plan.segments.length; i++) {
      const segments = plan.segments.filter((_, index) => index !== i);
      const result = runPlan({ cpus: 3, operations: 2 }, { ...plan, segments });
      expect(result === null || result.agents.length === 12).toBe(true);
    }
  });
});

describe('the minimiser', () => {
  it('leaves what a lost update needs: two CPUs, one operation, two switches', () => {
    const size = { cpus: 4, operations: 3 };
    const agents = Array.from({ length: 24 }, (_, step) => (step * 7) % 4);
    const short = minimise(failing(size, agents), { cpus: 2, operations: 1 }, LABORATORY);
    expect(short.failure.size).toEqual({ cpus: 2, operations: 1 });
    expect(short.switches).toBe(2);
    expect(short.isFixpoint).toBe(true);
    expect(runPlan(short.failure.size, short.plan)?.signature).toBe(SIGNATURE);
  });

  it('never goes below the smallest size', () => {
    const smallest = { cpus: 3, operations: 2 };
    const start = failing(smallest, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    const short = minimise(start, smallest, LABORATORY);
    expect(short.failure.size).toEqual(smallest);
    expect(short.switches).toBeLessThan(costOf(start).switches);
  });

  it('stops when time runs out, with what it has', () => {
    const start = failing({ cpus: 2, operations: 1 }, [0, 1, 0, 1]);
    const short = minimise(start, start.size, { ...LABORATORY, expired: () => true });
    expect(short.isFixpoint).toBe(false);
    expect(short.failure.agents).toEqual(start.agents);
  });

  it('comes out the same each time, however many trials it has', () => {
    const size = { cpus: 4, operations: 2 };
    const start = failing(
      size,
      Array.from({ length: 16 }, (_, step) => (step * 5) % 4),
    );
    const within = (trials: number): readonly number[] => {
      let left = trials;
      const run = (...words: Parameters<Laboratory['run']>): FailedSchedule | null => {
        left--;
        return runPlan(...words);
      };
      const laboratory = { ...LABORATORY, run, expired: () => left <= 0 };
      const { failure } = minimise(start, { cpus: 2, operations: 1 }, laboratory);
      return Array.from(failure.agents);
    };
    for (const trials of [1, 5, 20, 1000]) expect(within(trials)).toEqual(within(trials));
    expect(within(1000)).toEqual([0, 1, 1, 0]);
  });
});

describe('the cost', () => {
  it('counts a switch as a preemption if the CPU left could have gone on', () => {
    const size = { cpus: 2, operations: 1 };
    const ended = failing(size, [0, 1, 1, 0]);
    expect(costOf(ended)).toMatchObject({ switches: 2, preemptions: 1 });
    const twice = failing(size, [0, 1, 0, 1]);
    expect(costOf(twice)).toMatchObject({ switches: 3, preemptions: 2 });
  });

  it('counts changes of the CPU at work and stores that leave late', () => {
    const schedule = (agents: readonly number[]): FailedSchedule => ({
      size: { cpus: 2, operations: 1 },
      agents,
      values: [],
      preemptions: 0,
      undrained: 0,
      signature: '',
    });
    expect(costOf(schedule([0, 2, 0, 1]))).toMatchObject({ switches: 1, lateStores: 0 });
    expect(costOf(schedule([0, 1, 2, 1]))).toMatchObject({ switches: 1, lateStores: 1 });
  });
});
