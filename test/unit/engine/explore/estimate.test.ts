/**
 * The size of a search is told before it runs, with what the guess is worth, and refused by it:
 * for small programs it is the number, for locks an interval that has it.
 */

import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../../src/base/random.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import {
  estimateSize,
  requireSearchable,
  type SizeEstimate,
  sizeText,
} from '../../../../src/engine/explore/exhaustive/estimate.ts';
import { fromBoot } from '../../../../src/engine/explore/exhaustive/run-exhaustive.ts';
import { searchExhaustively } from '../../../../src/engine/explore/exhaustive/search.ts';
import { openLock } from '../../../support/open-lock.ts';
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
  return estimateSize({ makeExecution, stepLimit: 1000, seed: 1, budget: 60_000 });
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
    expect(executions).toBeGreaterThan(1e12);
    expect(Number.isFinite(executions)).toBe(true);
  });

  it('that is too large is refused with what to use instead', () => {
    const size: SizeEstimate = {
      executions: 7e11,
      atLeast: 3.2e9,
      atMost: 4e12,
      isExact: false,
      isCut: false,
      steps: 81.7,
      longest: 90,
    };
    expect(() => requireSearchable(size, 1e6, 'ticket with 4 CPUs')).toThrow(
      'exhaustive: ticket with 4 CPUs has between 3e9 and 4e12 executions of 82 steps, ' +
        'the limit is 1000000: use fewer CPUs or operations, strategy pct or pos, which sample, ' +
        'or --time, for a part of them',
    );
    requireSearchable(size, 1e10, 'ticket with 4 CPUs');
    expect(() => requireSearchable({ ...size, isCut: true }, 1e10, 'it')).toThrow('it has between');
    expect(sizeText({ ...size, atLeast: 702, atMost: 702, isExact: true })).toBe('about 702');
  });
});

/** Traces under sc, from searches that completed: CPUs, operations of each, number. */
const TRACES = [
  ['ticket', 2, 2, 141],
  ['clh', 2, 2, 42],
  ['qspinlock', 3, 1, 396],
  ['qspinlock', 2, 2, 452],
  ['k42', 3, 1, 702],
  ['k42', 2, 2, 1003],
  ['hemlock', 2, 2, 156],
  ['ttas', 2, 2, 63],
  ['seqlock', 3, 1, 642],
  ['qrwlock', 3, 1, 1228],
  ['peterson', 2, 1, 154],
  ['rwsem', 2, 1, 92],
] as const;

describe('size of a search over a lock', () => {
  it('is an interval that has the number, nearly always', () => {
    const missed: string[] = [];
    for (const [name, cpus, operations, traces] of TRACES) {
      const opened = openLock(name, 'sc', cpus, operations);
      const size = estimateSize({
        makeExecution: fromBoot(opened.explorer),
        stepLimit: 500,
        seed: 1,
        budget: 400_000,
      });
      // The ends are printed with one digit.
      if (traces < 0.95 * size.atLeast || traces > 1.05 * size.atMost) {
        missed.push(`${name} ${cpus}x${operations}: ${traces}, not ${sizeText(size)}`);
      }
    }
    expect(missed.length, missed.join('; ')).toBeLessThanOrEqual(TRACES.length / 5);
  });
});
