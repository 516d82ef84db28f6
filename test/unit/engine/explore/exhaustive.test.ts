/**
 * Exhaustive search against brute force on random small programs: as many completed executions as
 * there are Mazurkiewicz traces, none twice, the same outcomes; with symmetry that number up to
 * renaming.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { searchExhaustively } from '../../../../src/engine/explore/exhaustive/search.ts';
import { bruteForce } from '../../../support/brute-force.ts';
import { ToyExecution, type ToyProgram, type ToyStep } from '../../../support/toy-execution.ts';

const word = fc.integer({ min: 0, max: 1 });
const value = fc.integer({ min: 1, max: 2 });
const write = fc.record({ op: fc.constant('write' as const), word, value });
const read = fc.record({ op: fc.constant('read' as const), word });
const update = fc.record({ op: fc.constant('update' as const), word, value });
const awaiting = fc.record({ op: fc.constant('await' as const), word, value });
const fence = fc.record({ op: fc.constant('fence' as const), word });
const choose = fc.record({ op: fc.constant('choose' as const), value: fc.constant(2) });

function steps(...kinds: readonly fc.WeightedArbitrary<ToyStep>[]): fc.Arbitrary<ToyStep> {
  return fc.oneof(...kinds);
}

const plain = steps(
  { arbitrary: write, weight: 4 },
  { arbitrary: read, weight: 4 },
  { arbitrary: update, weight: 2 },
);
const waiting = steps(
  { arbitrary: write, weight: 4 },
  { arbitrary: awaiting, weight: 3 },
  { arbitrary: read, weight: 1 },
  { arbitrary: update, weight: 1 },
);
const buffered = steps(
  { arbitrary: write, weight: 5 },
  { arbitrary: read, weight: 4 },
  { arbitrary: update, weight: 1 },
  { arbitrary: awaiting, weight: 1 },
  { arbitrary: fence, weight: 1 },
);
const choosing = steps({ arbitrary: plain, weight: 4 }, { arbitrary: choose, weight: 1 });

function programs(step: fc.Arbitrary<ToyStep>, cpus: number, most: number) {
  const list = fc.array(step, { minLength: 1, maxLength: most });
  return fc.array(list, { minLength: 2, maxLength: cpus });
}

const MOST_INTERLEAVINGS = 2000;

function search(program: ToyProgram, model: MemoryModel, symmetric: readonly number[][] = []) {
  const outcomes = new Set<string>();
  const result = searchExhaustively({
    makeExecution: (chooser) => new ToyExecution(program, model, chooser),
    stepLimit: 100,
    executionLimit: 1e6,
    symmetric: { groups: symmetric },
    ended: (execution) => outcomes.add((execution as ToyExecution).outcome),
  });
  expect(result.outcome).toBe('complete');
  return { ...result, outcomes };
}

function agreesWithBruteForce(program: ToyProgram, model: MemoryModel): void {
  const brute = bruteForce((c) => new ToyExecution(program, model, c), MOST_INTERLEAVINGS);
  fc.pre(brute !== null);
  const { completed, deadlocked, outcomes } = search(program, model);
  expect(completed + deadlocked).toBe(brute.traces);
  expect(outcomes).toEqual(brute.outcomes);
}

const families = {
  'reads, writes, updates': [programs(plain, 3, 3), 'sc'],
  'longer, two CPUs': [programs(plain, 2, 6), 'sc'],
  'awaits, some of them for ever': [programs(waiting, 3, 4), 'sc'],
  'more CPUs with awaits': [programs(waiting, 4, 2), 'sc'],
  'free choices': [programs(choosing, 3, 3), 'sc'],
  'store buffers': [programs(buffered, 2, 4), 'tso'],
  'store buffers of three CPUs': [programs(buffered, 3, 2), 'tso'],
} as const satisfies Record<string, readonly [fc.Arbitrary<ToyProgram>, MemoryModel]>;

describe('every Mazurkiewicz trace is completed exactly once', () => {
  for (const [name, [arbitrary, model]] of Object.entries(families)) {
    it(name, () => {
      const property = fc.property(arbitrary, (program) => agreesWithBruteForce(program, model));
      fc.assert(property, { numRuns: 100, seed: 1 });
    });
  }
});

describe('awaits whose last write lets them go', () => {
  const w = (word: number, value: number): ToyStep => ({ op: 'write', word, value });
  const a = (word: number, value: number): ToyStep => ({ op: 'await', word, value });

  it('race with an earlier write of another CPU', () => {
    const reader: ToyStep[] = [a(0, 1), { op: 'read', word: 1 }, w(0, 1)];
    agreesWithBruteForce([[w(1, 1), w(0, 1)], [w(0, 1), w(0, 2)], reader], 'sc');
  });

  it('race while all others are asleep', () => {
    const last: ToyStep[] = [{ op: 'update', word: 0, value: 2 }];
    agreesWithBruteForce([[w(1, 1)], [w(0, 1), a(0, 1)], [a(0, 2), w(1, 1)], last], 'sc');
  });
});

describe('identical programs', () => {
  const twins = fc.tuple(
    fc.array(steps({ arbitrary: plain, weight: 5 }, { arbitrary: awaiting, weight: 1 }), {
      minLength: 1,
      maxLength: 3,
    }),
    fc.array(waiting, { maxLength: 2 }),
    fc.integer({ min: 2, max: 3 }),
  );

  function countsUpToRenaming(model: MemoryModel, numRuns: number): void {
    const property = fc.property(twins, ([same, other, count]) => {
      const group = Array.from({ length: count }, (_, cpu) => cpu);
      const program = [...group.map(() => same), other];
      const brute = bruteForce((c) => new ToyExecution(program, model, c), 500);
      fc.pre(brute !== null);
      const { completed, deadlocked } = search(program, model, [group]);
      expect(completed + deadlocked).toBe(brute.upToRenaming(group));
    });
    fc.assert(property, { numRuns, seed: 2 });
  }

  it('are explored up to renaming', () => countsUpToRenaming('sc', 80));

  it('and with store buffers', () => countsUpToRenaming('tso', 40));

  it('start in one order only', () => {
    const increment: ToyStep[] = [{ op: 'update', word: 0, value: 1 }];
    const program = [increment, increment, increment, increment];
    expect(search(program, 'sc').completed).toBe(24);
    const { completed, renamed, sleepBlocked } = search(program, 'sc', [[0, 1, 2, 3]]);
    expect({ completed, renamed, sleepBlocked }).toEqual({
      completed: 1,
      renamed: 0,
      sleepBlocked: 0,
    });
  });
});

describe('bounds and failures', () => {
  const racing: ToyProgram = [
    [{ op: 'update', word: 0, value: 1 }],
    [{ op: 'update', word: 0, value: 2 }],
    [{ op: 'update', word: 0, value: 4 }],
  ];
  const options = {
    makeExecution: (choose: (count: number) => number) => new ToyExecution(racing, 'sc', choose),
    stepLimit: 10,
    executionLimit: 100,
  };

  it('names the bound that it reached', () => {
    expect(searchExhaustively(options)).toMatchObject({ outcome: 'complete', completed: 6 });
    expect(searchExhaustively({ ...options, executionLimit: 5 }).outcome).toBe('executions');
    expect(searchExhaustively({ ...options, executionLimit: 6 }).outcome).toBe('complete');
    expect(searchExhaustively({ ...options, stepLimit: 2 })).toMatchObject({
      outcome: 'steps',
      completed: 0,
    });
    expect(searchExhaustively({ ...options, expired: () => true }).outcome).toBe('time');
  });

  it('ends with the first failure and the choices that lead to it', () => {
    const ended = (execution: unknown): void => {
      const { results } = execution as ToyExecution;
      if (results[0]![0] === 6) throw new Error('the first came last');
    };
    const { outcome, failure } = searchExhaustively({ ...options, ended });
    expect(outcome).toBe('failed');
    expect(failure?.error).toEqual(new Error('the first came last'));
    expect(failure?.schedule.agents.at(-1)).toBe(0);
  });
});
