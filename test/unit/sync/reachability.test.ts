/**
 * No vacuous pass: the conformance scenarios reach every named step of every lock, so that what a
 * lock does when it is contended has been run, and not only its fast path.
 */

import { describe, expect, it } from 'vitest';
import { bravoSteps, makeBravoLock } from '../../../src/sync/bravo.ts';
import { clhSteps, makeClhLock } from '../../../src/sync/clh.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { makeMcsLock, mcsSteps } from '../../../src/sync/mcs.ts';
import { makeQueuedReadWriteLock, queuedReadWriteSteps } from '../../../src/sync/qrwlock.ts';
import { makeQueuedSpinlock, queuedSteps } from '../../../src/sync/qspinlock.ts';
import { makeReadWriteSemaphore, rwsemSteps } from '../../../src/sync/rwsem.ts';
import { makeTestAndSetLock, testAndSetSteps } from '../../../src/sync/test-and-set.ts';
import {
  makeTestAndTestAndSetLock,
  testAndTestAndSetSteps,
} from '../../../src/sync/test-and-test-and-set.ts';
import { makeTicketLock, ticketSteps } from '../../../src/sync/ticket.ts';
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
): void {
  const reached = new Set<string>();
  const lock = make(watched(steps, reached));
  for (const scenario of scenarios) {
    for (let seed = 0; seed < 40; seed++) {
      const parameters = { lock: '', make: () => lock, cpuCount: 5, rounds: 6 };
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
  it('ticket', () => expectAllReached(ticketSteps, makeTicketLock, spin));
  it('mcs', () => expectAllReached(mcsSteps, makeMcsLock, spin));
  it('clh', () => expectAllReached(clhSteps, makeClhLock, spin));
  it('qspinlock', () => expectAllReached(queuedSteps, makeQueuedSpinlock, spin));
  it('qrwlock', () => expectAllReached(queuedReadWriteSteps, makeQueuedReadWriteLock, shared));
  it('rwsem', () => expectAllReached(rwsemSteps, makeReadWriteSemaphore, shared));
  it('bravo', () => {
    const make = (steps: typeof bravoSteps): Lock =>
      makeBravoLock(makeQueuedReadWriteLock(), steps, 2);
    expectAllReached(bravoSteps, make, shared);
  });
});
