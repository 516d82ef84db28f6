/**
 * No vacuous pass: the conformance scenarios reach every named step of every lock, so that what a
 * lock does when it is contended has been run, and not only its fast path.
 */

import { describe, expect, it } from 'vitest';
import { andersonSteps, makeAndersonLock } from '../../../src/sync/anderson.ts';
import { bravoSteps, makeBravoLock } from '../../../src/sync/bravo.ts';
import { clhSteps, makeClhLock } from '../../../src/sync/clh.ts';
import { cnaSteps, makeCnaLock } from '../../../src/sync/cna.ts';
import { cohortSteps, makeCohortLock } from '../../../src/sync/cohort.ts';
import { dekkerSteps, makeDekkerLock } from '../../../src/sync/dekker.ts';
import { futexMutexSteps, makeFutexMutex } from '../../../src/sync/futex-mutex.ts';
import { hclhSteps, makeHclhLock } from '../../../src/sync/hclh.ts';
import { hemlockSteps, makeHemlock } from '../../../src/sync/hemlock.ts';
import { hmcsSteps, makeHmcsLock } from '../../../src/sync/hmcs.ts';
import { k42Steps, makeK42Lock } from '../../../src/sync/k42.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { makeMcsLock, mcsSteps } from '../../../src/sync/mcs.ts';
import { makeMutex, mutexSteps } from '../../../src/sync/mutex.ts';
import { makePercpuSemaphore, percpuSemaphoreSteps } from '../../../src/sync/percpu-rwsem.ts';
import { makePetersonLock, petersonSteps } from '../../../src/sync/peterson.ts';
import { makeQueuedReadWriteLock, queuedReadWriteSteps } from '../../../src/sync/qrwlock.ts';
import { makeQueuedSpinlock, queuedSteps } from '../../../src/sync/qspinlock.ts';
import { makeRtMutex, rtMutexSteps } from '../../../src/sync/rtmutex.ts';
import { makeReadWriteSemaphore, rwsemSteps } from '../../../src/sync/rwsem.ts';
import { makeTestAndSetLock, testAndSetSteps } from '../../../src/sync/test-and-set.ts';
import {
  makeTestAndTestAndSetLock,
  testAndTestAndSetSteps,
} from '../../../src/sync/test-and-test-and-set.ts';
import { makeTicketLock, ticketSteps } from '../../../src/sync/ticket.ts';
import { makeTwaLock, twaSteps } from '../../../src/sync/twa.ts';
import { stepConformance } from '../../conformance/step-adapter.ts';

/** The same steps, with the names of those that were called kept in `reached`. */
function watched<Steps extends object>(steps: Steps, reached: Set<string>): Steps {
  return new Proxy(steps, {
    get(target, name, receiver) {
      reached.add(String(name));
      return Reflect.get(target, name, receiver);
    },
  });
}

function expectAllReached<Steps extends object>(
  steps: Steps,
  make: (steps: Steps) => Lock,
  scenarios: readonly string[],
  cpuCount = 5,
): void {
  const reached = new Set<string>();
  const lock = make(watched(steps, reached));
  for (const scenario of scenarios) {
    for (let seed = 0; seed < 40; seed++) {
      const parameters = { lock: '', make: () => lock, cpuCount, rounds: 6 };
      stepConformance.run(scenario, parameters, seed);
    }
  }
  expect([...reached].sort()).toEqual(Object.keys(steps).sort());
}

describe('every step is reached', () => {
  const spin = ['exclusion', 'interrupted'];
  const shared = ['exclusion', 'readersAndWriters'];

  it('tas', () => expectAllReached(testAndSetSteps, makeTestAndSetLock, spin));
  it('ttas', () => expectAllReached(testAndTestAndSetSteps, makeTestAndTestAndSetLock, spin));
  it('ticket', () => {
    const make = (steps: typeof ticketSteps): Lock => {
      const lock = makeTicketLock(steps);
      return {
        ...lock,
        *acquire(cpu, hi, lo) {
          yield* lock.tryAcquire(cpu, hi, lo);
          if (cpu.ret === 0) yield* lock.acquire(cpu, hi, lo);
        },
      };
    };
    expectAllReached(ticketSteps, make, spin);
  });
  it('mcs', () => expectAllReached(mcsSteps, makeMcsLock, spin));
  it('anderson', () => expectAllReached(andersonSteps, makeAndersonLock, spin));
  it('k42', () => expectAllReached(k42Steps, makeK42Lock, spin));
  it('hemlock', () => expectAllReached(hemlockSteps, makeHemlock, spin));
  it('twa', () => expectAllReached(twaSteps, makeTwaLock, spin));
  it('cna', () => {
    const stayLocal = (handovers: number): boolean => handovers < 3;
    expectAllReached({ ...cnaSteps, stayLocal }, makeCnaLock, spin);
  });
  it('cohort', () => {
    const mayPass = (passes: number): boolean => passes < 2;
    expectAllReached({ ...cohortSteps, mayPass }, makeCohortLock, spin);
  });
  it('hmcs', () => {
    const mayPass = (owners: number): boolean => owners < 2;
    expectAllReached({ ...hmcsSteps, mayPass }, makeHmcsLock, spin);
  });
  it('hclh', () => expectAllReached(hclhSteps, makeHclhLock, spin));
  it('mutex', () => expectAllReached(mutexSteps, makeMutex, ['exclusion']));
  it('futex', () => expectAllReached(futexMutexSteps, makeFutexMutex, ['exclusion']));
  it('rtmutex', () => expectAllReached(rtMutexSteps, makeRtMutex, ['exclusion', 'overlapping']));
  it('peterson', () => expectAllReached(petersonSteps, makePetersonLock, spin, 2));
  it('dekker', () => expectAllReached(dekkerSteps, makeDekkerLock, spin, 2));
  it('clh', () => expectAllReached(clhSteps, makeClhLock, spin));
  it('qspinlock', () => expectAllReached(queuedSteps, makeQueuedSpinlock, spin));
  it('qrwlock', () => expectAllReached(queuedReadWriteSteps, makeQueuedReadWriteLock, shared));
  it('percpu-rwsem', () => expectAllReached(percpuSemaphoreSteps, makePercpuSemaphore, shared));
  it('rwsem', () => expectAllReached(rwsemSteps, makeReadWriteSemaphore, shared));
  it('bravo', () => {
    const make = (steps: typeof bravoSteps): Lock =>
      makeBravoLock(makeQueuedReadWriteLock(), steps, 2);
    expectAllReached(bravoSteps, make, shared);
  });
});
