/** The size of a search is told before it runs, within a factor of two or so, and refused by it. */

import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../../src/base/random.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import {
  estimateSize,
  requireSearchable,
  type SizeEstimate,
} from '../../../../src/engine/explore/exhaustive/estimate.ts';
import { searchExhaustively } from '../../../../src/engine/explore/exhaustive/search.ts';
import { ToyExecution, type ToyProgram, type ToyStep } from '../../../support/toy-execution.ts';

function randomProgram(seed: number, cpus: number, steps: number): ToyProgram {
  const stream = new RandomStream(seed, 'program', 0);
  const words = 1 + stream.below(3);
  const step = (): ToyStep => {
    const word = stream.below(words);
    const kind = stream.below(5);
    if (kind < 2) return { op: 'read', word };
    return kind < 4 ? { op: 'write', word, value: 1 } : { op: 'update', word, value: 1 };
  };
  return Array.from({ length: cpus }, () => Array.from({ length: steps }, step));
}

function estimate(program: ToyProgram, model: MemoryModel): SizeEstimate {
  const makeExecution = (choose: (count: number) => number) =>
    new ToyExecution(program, model, choose);
  return estimateSize({ makeExecution, stepLimit: 1000, seed: 1, descents: 300 });
}

function traces(program: ToyProgram, model: MemoryModel): number {
  const { completed, outcome } = searchExhaustively({
    makeExecution: (choose) => new ToyExecution(program, model, choose),
    stepLimit: 1000,
    executionLimit: 1e5,
  });
  expect(outcome).toBe('complete');
  return completed;
}

describe('size of a search', () => {
  it.each([
    ['sc', 2, 6],
    ['sc', 3, 4],
    ['tso', 2, 5],
  ] as const)('%s, %i CPUs of %i steps', (model, cpus, steps) => {
    for (let seed = 0; seed < 10; seed++) {
      const program = randomProgram(seed, cpus, steps);
      const ratio = estimate(program, model).executions / traces(program, model);
      expect(ratio).toBeGreaterThan(0.4);
      expect(ratio).toBeLessThan(2.5);
    }
  });

  it('is one for CPUs that share nothing, however many interleavings', () => {
    const program = [0, 1, 2, 3].map((word) =>
      Array.from({ length: 10 }, (): ToyStep => ({ op: 'update', word, value: 1 })),
    );
    const { executions, steps } = estimate(program, 'sc');
    expect(executions).toBeCloseTo(1, 6);
    expect(steps).toBe(40);
  });

  it('counts free choices', () => {
    const program: ToyProgram = [
      [
        { op: 'read', word: 0 },
        { op: 'choose', value: 3 },
        { op: 'choose', value: 2 },
      ],
    ];
    expect(estimate(program, 'sc').executions).toBeCloseTo(6, 6);
  });

  it('stays a number where sets of steps are too many to count', () => {
    const program = randomProgram(3, 6, 20);
    const { executions } = estimate(program, 'sc');
    expect(executions).toBeGreaterThan(1e20);
    expect(Number.isFinite(executions)).toBe(true);
  });

  it('that is too large is refused with what to use instead', () => {
    const size = { executions: 7e11, atLeast: 3.2e9, steps: 81.7 };
    expect(() => requireSearchable(size, 1e6, 'ticket with 4 CPUs')).toThrow(
      'exhaustive: ticket with 4 CPUs has 3e9 executions or more of 82 steps, ' +
        'the limit is 1000000: use fewer CPUs or operations, or strategy pct or pos, which sample',
    );
    requireSearchable(size, 1e10, 'ticket with 4 CPUs');
  });
});
