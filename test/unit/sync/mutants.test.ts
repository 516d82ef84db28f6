/**
 * The conformance scenarios can fail: each lock here has one step replaced by a classic mistake,
 * and some interleaving must show it as a violation, a lost update, a deadlock or an assertion.
 */

import { describe, expect, it } from 'vitest';
import { BugError, StallError } from '../../../src/base/errors.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import { bravoSteps, makeBravoLock } from '../../../src/sync/bravo.ts';
import { clhSteps, makeClhLock } from '../../../src/sync/clh.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { LockNode, nodeLo } from '../../../src/sync/lock-nodes.ts';
import { makeMcsLock, mcsSteps } from '../../../src/sync/mcs.ts';
import { makeQueuedReadWriteLock, queuedReadWriteSteps } from '../../../src/sync/qrwlock.ts';
import { makeQueuedSpinlock, queuedSteps } from '../../../src/sync/qspinlock.ts';
import { makeReadWriteSemaphore, rwsemSteps } from '../../../src/sync/rwsem.ts';
import { makeTestAndSetLock, testAndSetSteps } from '../../../src/sync/test-and-set.ts';
import { makeTicketLock, ticketSteps } from '../../../src/sync/ticket.ts';
import { Word } from '../../conformance/lock-scenarios.ts';
import { stepConformance } from '../../conformance/step-adapter.ts';

interface Mutant {
  readonly id: string;
  readonly scenario: string;
  make(): Lock;
}

const LOCKED = 1;
const READER = 1 << 9;

const MUTANTS: readonly Mutant[] = [
  {
    id: 'tas: load, then store',
    scenario: 'exclusion',
    make: () =>
      makeTestAndSetLock({
        ...testAndSetSteps,
        *tryTake(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Acquire)) yield;
          const old = cpu.lo;
          if (old === 0) while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;
          cpu.lo = old;
        },
      }),
  },
  {
    id: 'ticket: ticket taken by load and store',
    scenario: 'exclusion',
    make: () =>
      makeTicketLock({
        ...ticketSteps,
        *take(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
          const word = cpu.lo;
          while (!cpu.store32(hi, lo, (word + 0x10000) | 0, Order.Relaxed)) yield;
          cpu.lo = word;
        },
      }),
  },
  {
    id: 'mcs: tail emptied by a store',
    scenario: 'exclusion',
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *leave(cpu, hi, lo, self) {
          const node = nodeLo(cpu, cpu.id, LockNode.Mcs + ((self - 1) % 8) * 64);
          while (!cpu.load32(cpu.perCpuHi(cpu.id), node, Order.Relaxed)) yield;
          if (cpu.lo !== 0) return;
          while (!cpu.store32(hi, lo, 0, Order.Release)) yield;
          cpu.lo = 0;
        },
      }),
  },
  {
    id: 'mcs: node initialised after the tail swap',
    scenario: 'exclusion',
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *enqueue(cpu, hi, lo, self) {
          const node = nodeLo(cpu, cpu.id, LockNode.Mcs + ((self - 1) % 8) * 64);
          while (!cpu.swap32(hi, lo, self, Order.AcquireRelease)) yield;
          const previous = cpu.lo;
          while (!cpu.store64(cpu.perCpuHi(cpu.id), node, 1, 0, Order.Relaxed)) yield;
          cpu.lo = previous;
        },
      }),
  },
  {
    id: 'clh: own node kept instead of the one before',
    scenario: 'exclusion',
    make: () =>
      makeClhLock({
        ...clhSteps,
        *recycle(cpu) {
          while (!cpu.load32(cpu.perCpuHi(cpu.id), cpu.perCpuLo(cpu.id), Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'qspinlock: pending not taken back',
    scenario: 'exclusion',
    make: () =>
      makeQueuedSpinlock({
        ...queuedSteps,
        *undoPending(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'qspinlock: pending does not wait for the owner',
    scenario: 'exclusion',
    make: () =>
      makeQueuedSpinlock({
        ...queuedSteps,
        *waitPending(cpu, hi, lo) {
          while (!cpu.store16(hi, lo, LOCKED, Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'qspinlock: last in the queue stores the whole word',
    scenario: 'exclusion',
    make: () =>
      makeQueuedSpinlock({
        ...queuedSteps,
        *lockAndEmpty(cpu, hi, lo) {
          while (!cpu.store32(hi, lo, LOCKED, Order.Relaxed)) yield;
          cpu.ok = true;
        },
      }),
  },
  {
    id: 'qspinlock: locked byte set by a store of the word',
    scenario: 'exclusion',
    make: () =>
      makeQueuedSpinlock({
        ...queuedSteps,
        *setLocked(cpu, hi, lo) {
          while (!cpu.store32(hi, lo, LOCKED, Order.Relaxed)) yield;
        },
      }),
  },
  {
    id: 'qrwlock: reader looks first, then enters',
    scenario: 'readersAndWriters',
    make: () => {
      /** By CPU: the count that a reader saw before it entered. */
      const seen = new Map<number, number>();
      return makeQueuedReadWriteLock({
        ...queuedReadWriteSteps,
        enterReader(cpu, hi, lo) {
          if (!seen.has(cpu.id)) {
            if (!cpu.load32(hi, lo, Order.Acquire)) return false;
            seen.set(cpu.id, cpu.lo);
          }
          if (!cpu.add32(hi, lo, READER, Order.Relaxed)) return false;
          cpu.lo = seen.get(cpu.id)!;
          seen.delete(cpu.id);
          return true;
        },
      });
    },
  },
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
    id: 'bravo: bias not looked at again after publishing',
    scenario: 'readersAndWriters',
    make: () =>
      makeBravoLock(
        makeQueuedReadWriteLock(),
        {
          ...bravoSteps,
          *publish(cpu, hi, lo) {
            const at = nodeLo(cpu, cpu.id, LockNode.VisibleReaders);
            while (!cpu.store64(cpu.perCpuHi(cpu.id), at, hi, lo + 64, Order.Relaxed)) yield;
            cpu.ret = 0;
          },
        },
        2,
      ),
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
