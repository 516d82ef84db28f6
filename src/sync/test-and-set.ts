/**
 * Test-and-set spinlock: swap until the old value was 0.
 * Source: T. E. Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory
 * Multiprocessors", IEEE TPDS 1990, section III.
 * Invariant: the word is 1 exactly while somebody owns the lock.
 * Line transfers per hand-over, n waiters: unbounded; every failed swap of every waiter takes the
 * line exclusively, and the owner's release queues behind them.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  retried: lockBranch('tas', 'swapped in vain', [2, 1]),
} as const;

export interface TestAndSetSteps {
  /** Result in cpu.lo: the old value; 0 = the lock is ours. */
  tryTake(cpu: Cpu, hi: number, lo: number): Program;
  free(cpu: Cpu, hi: number, lo: number): Program;
}

export const testAndSetSteps: TestAndSetSteps = {
  *tryTake(cpu, hi, lo) {
    while (!cpu.swap32(hi, lo, 1, Order.Acquire)) yield;
  },

  *free(cpu, hi, lo) {
    while (!cpu.store32(hi, lo, 0, Order.Release)) yield;
  },
};

export function makeTestAndSetLock(steps: TestAndSetSteps = testAndSetSteps): Lock {
  return {
    name: 'tas',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      let contended = false;
      for (;;) {
        yield* steps.tryTake(cpu, hi, lo);
        if (cpu.lo === 0) break;
        contended = true;
        notePassed(cpu, Passed.retried);
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      yield* steps.free(cpu, hi, lo);
    },
  };
}
