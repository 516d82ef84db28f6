/**
 * The conformance scenarios can fail: each lock here has one step replaced by a mistake, and some
 * interleaving must show it as a violation, a lost update, a deadlock or an assertion. The mistakes
 * of the published catalogue are in src/stress/mutants.
 */

import { describe, expect, it } from 'vitest';
import { BugError, StallError } from '../../../src/base/errors.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import { bravoSteps, makeBravoLock } from '../../../src/sync/bravo.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { makeQueuedReadWriteLock, queuedReadWriteSteps } from '../../../src/sync/qrwlock.ts';
import { makeReadWriteSemaphore, rwsemSteps } from '../../../src/sync/rwsem.ts';
import { Word } from '../../conformance/lock-scenarios.ts';
import { stepConformance } from '../../conformance/step-adapter.ts';

interface Mutant {
  readonly id: string;
  readonly scenario: string;
  make(): Lock;
}

const LOCKED = 1;

const MUTANTS: readonly Mutant[] = [
  {
    id: 'qrwlock: writer does not wait for readers',
    scenario: 'readersAndWriters',
    make: () =>
      makeQueuedReadWriteLock({
        ...queuedReadWriteSteps,
        *waitWriter(cpu, hi, lo) {
          while (!cpu.cond32(hi, lo, Condition.Equal, 0xff, 0, Order.Acquire)) yield;
          while (!cpu.set32(hi, lo, 0xff, Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'rwsem: reader does not sleep',
    scenario: 'readersAndWriters',
    make: () =>
      makeReadWriteSemaphore({
        ...rwsemSteps,
        *sleepReader(cpu) {
          while (!cpu.load32(cpu.perCpuHi(cpu.id), cpu.perCpuLo(cpu.id), Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'rwsem: writer takes the lock off the list whatever the count says',
    scenario: 'exclusion',
    make: () =>
      makeReadWriteSemaphore({
        ...rwsemSteps,
        spin: null,
        *tryFromList(cpu, hi, lo, deadline) {
          while (!cpu.clear32(hi, lo, LOCKED, Order.Relaxed)) yield;
          yield* rwsemSteps.tryFromList(cpu, hi, lo, deadline);
        },
      }),
  },
  {
    id: 'bravo: writer does not wait for visible readers',
    scenario: 'readersAndWriters',
    make: () =>
      makeBravoLock(
        makeQueuedReadWriteLock(),
        {
          ...bravoSteps,
          *withdrawBias(cpu, hi, lo) {
            while (!cpu.swap32(hi, lo, 0, Order.SequentiallyConsistent)) yield;
          },
        },
        2,
      ),
  },
];

const SEEDS = 300;
const ROUNDS = 8;

/** What the first failing seed showed, or null. */
function findFailure(scenario: string, make: () => Lock): string | null {
  for (let seed = 0; seed < SEEDS; seed++) {
    const cpuCount = 3 + (seed % 3);
    try {
      const parameters = { lock: '', make, cpuCount, rounds: ROUNDS };
      const outcome = stepConformance.run(scenario, parameters, seed);
      if (outcome instanceof Promise) throw new Error('the step engine is synchronous');
      if (outcome.word(Word.Violations) > 0) return `violations with seed ${seed}`;
      if (outcome.word(Word.Count) !== outcome.word(Word.CountAgain)) {
        if (scenario === 'readersAndWriters') return `lost update with seed ${seed}`;
        if (outcome.word(Word.Count) !== cpuCount * ROUNDS) return `lost update, seed ${seed}`;
      }
    } catch (error) {
      if (error instanceof StallError || error instanceof BugError) return error.message;
      throw error;
    }
  }
  return null;
}

describe('mutants of locks', () => {
  for (const { id, scenario, make } of MUTANTS) {
    it(id, () => {
      expect(findFailure(scenario, make)).not.toBeNull();
    });
  }

  it('a reader-writer lock that is biased often passes unmutated', () => {
    const make = (): Lock => makeBravoLock(makeQueuedReadWriteLock(), bravoSteps, 2);
    expect(findFailure('readersAndWriters', make)).toBeNull();
  });
});
