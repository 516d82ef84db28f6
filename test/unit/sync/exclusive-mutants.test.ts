/**
 * The exclusive locks of the literature, the sleeping ones and those for two CPUs, each with one
 * step replaced by its classic mistake: some interleaving must show it.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import { andersonSteps, makeAndersonLock } from '../../../src/sync/anderson.ts';
import { cnaSteps, makeCnaLock } from '../../../src/sync/cna.ts';
import { cohortSteps, makeCohortLock } from '../../../src/sync/cohort.ts';
import { dekkerSteps, makeDekkerLock } from '../../../src/sync/dekker.ts';
import { futexSteps, futexWait } from '../../../src/sync/futex.ts';
import { futexMutexSteps, makeFutexMutex } from '../../../src/sync/futex-mutex.ts';
import { hclhSteps, makeHclhLock } from '../../../src/sync/hclh.ts';
import { hemlockSteps, makeHemlock } from '../../../src/sync/hemlock.ts';
import { hmcsSteps, makeHmcsLock } from '../../../src/sync/hmcs.ts';
import { k42Steps, makeK42Lock } from '../../../src/sync/k42.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { LockNode, nodeLo } from '../../../src/sync/lock-nodes.ts';
import {
  clearMutexOwner,
  makeMutex,
  sleepingMutexSteps,
  wakeMutexWaiter,
} from '../../../src/sync/mutex.ts';
import { MUTEX_WAITERS, MutexField } from '../../../src/sync/mutex-layout.ts';
import { makePetersonLock, petersonSteps } from '../../../src/sync/peterson.ts';
import { makeRtMutex, rtMutexSteps } from '../../../src/sync/rtmutex.ts';
import { makeTwaLock, twaSteps } from '../../../src/sync/twa.ts';
import { Word } from '../../conformance/lock-scenarios.ts';
import { stepConformance } from '../../conformance/step-adapter.ts';
import { firstFailure, lines, raise, require } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

const SEEDS = 400;
const ROUNDS = 8;

function failure(make: () => Lock, rounds = ROUNDS): string | null {
  const most = make().cpusMax ?? 5;
  return firstFailure(SEEDS, (seed) => {
    const cpuCount = Math.min(most, 3 + (seed % 3));
    const parameters = { lock: '', make, cpuCount, rounds };
    const outcome = stepConformance.run('exclusion', parameters, seed);
    if (outcome instanceof Promise) throw new Error('the step engine is synchronous');
    require(outcome.word(Word.Violations) === 0, 'violations');
    require(outcome.word(Word.Count) === cpuCount * rounds, 'lost update');
  });
}

const skip = (): boolean => true;

function* nothing(): Program {}

const MUTANTS: Readonly<Record<string, () => Lock>> = {
  'anderson: fewer slots than CPUs': () =>
    makeAndersonLock({ ...andersonSteps, slotCount: () => 2 }),

  'k42: the tail is moved into the lock by a store': () =>
    makeK42Lock({
      ...k42Steps,
      *moveIntoLock(cpu, hi, lo, _self, node) {
        while (!cpu.load32(cpu.perCpuHi(cpu.id), node + 4, Order.Relaxed)) yield;
        const next = cpu.lo;
        while (!cpu.store32(hi, lo + 4, next, Order.Relaxed)) yield;
        if (next === 0) while (!cpu.store32(hi, lo, -1, Order.Relaxed)) yield;
      },
    }),

  'hemlock: does not wait for the answer': () =>
    makeHemlock({ ...hemlockSteps, awaitAnswer: skip }),

  'twa: a change of the waiting word is taken for the grant': () =>
    makeTwaLock({ ...twaSteps, waitNear: skip }),

  'twa: the next in line is not called': () => makeTwaLock({ ...twaSteps, callNear: skip }),

  'cna: second queue dropped when the main one empties': () =>
    makeCnaLock({
      ...cnaSteps,
      *promoteSecond(cpu, hi, lo, self) {
        while (!cnaSteps.emptyTail(cpu, hi, lo, self)) yield;
      },
    }),

  'cohort: passes the global lock on after releasing it': () =>
    makeCohortLock({ ...cohortSteps, mayPass: () => false, passLocal: cohortSteps.passBoth }),

  'hmcs: the root counts as passed on after its release': () =>
    makeHmcsLock({
      ...hmcsSteps,
      mayPass: () => false,
      passLocal: (cpu, next) => hmcsSteps.passBoth(cpu, next, 1),
    }),

  'hclh: the end of a piece is not marked': () => makeHclhLock({ ...hclhSteps, markTail: skip }),

  'mutex: no look at the owner between joining the list and sleeping': () =>
    makeMutex({
      ...sleepingMutexSteps,
      *tryBeforeSleep(cpu, hi, lo) {
        while (!cpu.load32(hi, lo + MutexField.WaitLock, Order.Relaxed)) yield;
        cpu.ret = 0;
      },
    }),

  'mutex: wakes before the owner word is cleared': () =>
    makeMutex({
      ...sleepingMutexSteps,
      *leaveSlow(cpu, hi, lo) {
        yield* wakeMutexWaiter(cpu, hi, lo, MUTEX_WAITERS);
        yield* clearMutexOwner(cpu, hi, lo);
      },
    }),

  'futex: sleeps whatever the word is': () =>
    makeFutexMutex({
      ...futexMutexSteps,
      wait: (cpu, hi, lo) =>
        futexWait(cpu, hi, lo, 2, {
          ...futexSteps,
          compare(self, atHi, atLo) {
            if (!self.load32(atHi, atLo, Order.Relaxed)) return false;
            self.ok = true;
            return true;
          },
        }),
    }),

  'futex: the release wakes nobody': () => makeFutexMutex({ ...futexMutexSteps, wake: nothing }),

  'rtmutex: the fast release stores': () =>
    makeRtMutex({
      ...rtMutexSteps,
      leaveFast(cpu, hi, lo) {
        if (!cpu.store32(hi, lo, 0, Order.Release)) return false;
        cpu.ok = true;
        return true;
      },
    }),

  'peterson: does not wait': () => makePetersonLock({ ...petersonSteps, wait: skip }),

  'dekker: the flag stays up out of turn': () => makeDekkerLock({ ...dekkerSteps, lower: skip }),

  'dekker: the turn is not given': () => makeDekkerLock({ ...dekkerSteps, giveTurn: skip }),
};

/** CPU 0 holds two locks together, the others wait for one of them each. */
function twoLocks(make: () => Lock): string | null {
  return firstFailure(SEEDS, (seed) => {
    const engine = new StepEngine({ cpuCount: 4, seed, backedBytes: 256 * 1024 });
    const locks = lines(engine, 2);
    const counts = lines(engine, 2);
    const lock = make();
    function* section(cpu: Cpu, which: number, inside: Program | null): Program {
      const { hi, lo } = locks[which]!;
      yield lock.acquire(cpu, hi, lo);
      yield* raise(cpu, counts[which]!);
      if (inside !== null) yield* inside;
      yield lock.release(cpu, hi, lo);
    }
    function* program(cpu: Cpu): Program {
      for (let round = 0; round < ROUNDS; round++) {
        if (cpu.id === 0) yield* section(cpu, 0, section(cpu, 1, null));
        else yield* section(cpu, cpu.id % 2, null);
      }
    }
    engine.run(Array(4).fill(program));
    require(engine.peek32(counts[0]!) === 2 * ROUNDS, 'lost update');
    require(engine.peek32(counts[1]!) === 3 * ROUNDS, 'lost update');
  });
}

describe('mutants of exclusive locks', () => {
  for (const [name, make] of Object.entries(MUTANTS)) {
    it(name, () => {
      expect(failure(make)).not.toBeNull();
    });
  }

  it('hemlock: any grant of the one before is taken for this lock', () => {
    const make = (): Lock =>
      makeHemlock({
        ...hemlockSteps,
        *wait(cpu: Cpu, _hi: number, _lo: number, previous: number): Program {
          const high = nodeLo(cpu, previous, LockNode.Grant) + 4;
          const hi = cpu.perCpuHi(previous);
          while (!cpu.cond32(hi, high, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
        },
      });
    expect(twoLocks(make)).not.toBeNull();
    expect(twoLocks(makeHemlock)).toBeNull();
  });

  it('peterson: forgets its turn when it leaves', () => {
    const make = (): Lock =>
      makePetersonLock({
        ...petersonSteps,
        leave: (cpu, hi, own) => petersonSteps.leave(cpu, hi, own, 0),
      });
    expect(failure(make, 60)).not.toBeNull();
  });

  it('a cohort or HMCS lock that never passes inside the node works', () => {
    const never = { mayPass: () => false };
    expect(failure(() => makeCohortLock({ ...cohortSteps, ...never }))).toBeNull();
    expect(failure(() => makeHmcsLock({ ...hmcsSteps, ...never }))).toBeNull();
  });

  it('a CNA lock that leaves the node at every second hand-over works', () => {
    const stayLocal = (handovers: number): boolean => handovers < 1;
    expect(failure(() => makeCnaLock({ ...cnaSteps, stayLocal }))).toBeNull();
  });
});
