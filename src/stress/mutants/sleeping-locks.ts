/**
 * Mutants of what sleeps: mutex, futex, wait queue (M51, M52: not in the published table). And of
 * Dekker's algorithm.
 */

import { Fence, Order } from '../../cpu/operations.ts';
import { rcuEnterIdle, rcuExitIdle } from '../../kernel/base/rcu.ts';
import { dekkerSteps, makeDekkerLock } from '../../sync/dekker.ts';
import { futexSteps, futexWait } from '../../sync/futex.ts';
import { futexMutexSteps, makeFutexMutex } from '../../sync/futex-mutex.ts';
import { clearMutexOwner, makeMutex, mutexSteps, wakeMutexWaiter } from '../../sync/mutex.ts';
import { waitQueueSteps } from '../../sync/wait-queue.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { LOST_WAKE_UP } from '../oracles/lost-wake-up.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { mutexExitTarget } from '../targets/mutex-exit-target.ts';
import { waitQueueTarget } from '../targets/wait-queue-target.ts';
import { mutatedLock } from './mutated-lock.ts';

/** The word of a futex mutex that says that somebody may sleep. */
const SLEEPERS = 2;
/** Time of a preempted spinner's CPU for somebody else. */
const PREEMPTED_STEPS = 32;

export const SLEEPING_LOCK_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M05',
    name: 'dekker-nofence',
    change: "no barrier between raising the own flag and reading the other's",
    model: 'tso',
    depth: 2,
    oracles: [EXCLUSION, LOST_UPDATE],
    parts: ['write'],
    size: { cpus: 2, operations: 2 },
    make: () => makeDekkerLock({ ...dekkerSteps, order: () => true }),
  }),
  mutatedLock({
    id: 'M35',
    name: 'mutex-check-then-sleep',
    change: 'a waiter goes to sleep without looking once more when it is on the list',
    model: 'sc',
    depth: 2,
    oracles: [LOST_WAKE_UP, DEADLOCK],
    parts: ['write'],
    make: () =>
      makeMutex({
        ...mutexSteps,
        spin: null,
        *tryBeforeSleep(cpu) {
          while (!cpu.fence(Fence.DmbIsh)) yield;
          cpu.ret = 0;
        },
      }),
  }),
  mutatedLock({
    id: 'M36',
    name: 'mutex-wake-before-release',
    change: 'the waiter is woken before the owner word is cleared',
    model: 'sc',
    depth: 2,
    oracles: [LOST_WAKE_UP, DEADLOCK],
    parts: ['write'],
    make: () =>
      makeMutex({
        ...mutexSteps,
        spin: null,
        *leaveSlow(cpu, hi, lo) {
          yield* wakeMutexWaiter(cpu, hi, lo, 0);
          yield* clearMutexOwner(cpu, hi, lo);
        },
      }),
  }),
  mutatedLock({
    id: 'M37',
    name: 'futex-no-expected',
    change: 'a waiter sleeps whatever the word says by now',
    model: 'sc',
    depth: 2,
    oracles: [LOST_WAKE_UP, DEADLOCK],
    parts: ['write'],
    make: () =>
      makeFutexMutex({
        ...futexMutexSteps,
        wait: (cpu, hi, lo) =>
          futexWait(cpu, hi, lo, SLEEPERS, {
            ...futexSteps,
            compare(self, wordHi, wordLo) {
              if (!self.load32(wordHi, wordLo, Order.Relaxed)) return false;
              self.ok = true;
              return true;
            },
          }),
      }),
  }),
  {
    id: 'M38',
    name: 'mutex-owner-uaf',
    change:
      'a spinner looks at the owner outside of read-side sections: it may be preempted before',
    model: 'sc',
    depth: 2,
    oracles: [USE_AFTER_FREE],
    make: () =>
      mutexExitTarget(
        {
          *enter() {},
          *leave() {},
          *before(cpu) {
            // Another task runs for a while: a quiescent state.
            while (!rcuEnterIdle(cpu)) yield;
            for (let i = 0; i < PREEMPTED_STEPS; i++) while (!cpu.fence(Fence.DmbIshLd)) yield;
            while (!rcuExitIdle(cpu)) yield;
          },
        },
        'M38 mutex-owner-uaf',
      ),
  },
  {
    id: 'M51',
    name: 'wait-queue-no-look',
    change: 'a waiter looks at its condition before it is queued, and not after',
    model: 'sc',
    depth: 2,
    oracles: [LOST_WAKE_UP, DEADLOCK],
    make: () =>
      waitQueueTarget(
        {
          ...waitQueueSteps,
          *waitUntil(queue, cpu, hi, lo, exclusive, condition) {
            yield* condition(cpu);
            while (cpu.ret === 0) {
              yield* queue.prepareToWait(cpu, hi, lo, exclusive);
              yield* queue.sleep(cpu);
              yield* condition(cpu);
            }
            yield* queue.finishWait(cpu, hi, lo);
          },
        },
        'M51 wait-queue-no-look',
      ),
  },
  {
    id: 'M52',
    name: 'wait-queue-no-mb',
    change: 'a waker looks for waiters with no barrier after it has changed the condition',
    model: 'tso',
    depth: 2,
    oracles: [LOST_WAKE_UP, DEADLOCK],
    make: () =>
      waitQueueTarget({ ...waitQueueSteps, wakeFence: () => true }, 'M52 wait-queue-no-mb'),
  },
];
