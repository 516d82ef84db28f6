/**
 * Test-and-test-and-set spinlock: wait by reading until the word is 0, then swap; with exponential
 * back-off after a lost race as an option.
 * Source: T. E. Anderson, IEEE TPDS 1990, sections III and IV.
 * Invariant: the word is 1 exactly while somebody owns the lock.
 * Line transfers per hand-over, n waiters: up to 2n (all read after the release, all swap);
 * back-off thins the swaps out and lets CPUs near the line win more often.
 * Deviation: the length of a pause is a hash of CPU and round instead of a random draw, so that no
 * stream of the workload is used up.
 */

import { hash32 } from '../base/random.ts';
import { PS_PER_NS } from '../base/units.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';

const FIRST_PAUSE_NS = 64;
/** The cap bounds the tail: without it a CPU may sleep through any number of hand-overs. */
const LONGEST_PAUSE_NS = 4096;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('ttas', 'waited until it looked free', [2, 1]),
  lost: lockBranch('ttas', 'lost it again after waiting', [3, 1], [2, 2]),
} as const;

export interface TestAndTestAndSetSteps {
  wait(cpu: Cpu, hi: number, lo: number): Program;
  /** Result in cpu.lo: the old value; 0 = the lock is ours. */
  tryTake(cpu: Cpu, hi: number, lo: number): Program;
  /** After the `losses`-th lost race of this acquisition, counted from 1. */
  pause(cpu: Cpu, losses: number): void;
  free(cpu: Cpu, hi: number, lo: number): Program;
}

export const testAndTestAndSetSteps: TestAndTestAndSetSteps = {
  *wait(cpu, hi, lo) {
    while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Relaxed)) yield;
  },

  *tryTake(cpu, hi, lo) {
    while (!cpu.swap32(hi, lo, 1, Order.Acquire)) yield;
  },

  pause() {},

  *free(cpu, hi, lo) {
    while (!cpu.store32(hi, lo, 0, Order.Release)) yield;
  },
};

export const backOffSteps: TestAndTestAndSetSteps = {
  ...testAndTestAndSetSteps,
  pause(cpu, losses) {
    const limitNs = Math.min(FIRST_PAUSE_NS << Math.min(losses - 1, 16), LONGEST_PAUSE_NS);
    const pauseNs = (hash32(cpu.id, losses, 0, 0) >>> 0) % limitNs;
    cpu.compute(pauseNs * PS_PER_NS);
  },
};

export function makeTestAndTestAndSetLock(
  steps: TestAndTestAndSetSteps = testAndTestAndSetSteps,
  name = 'ttas',
): Lock {
  return {
    name,
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      let losses = 0;
      for (;;) {
        yield* steps.tryTake(cpu, hi, lo);
        if (cpu.lo === 0) break;
        losses++;
        notePassed(cpu, losses > 1 ? Passed.lost : Passed.waited);
        steps.pause(cpu, losses);
        yield* steps.wait(cpu, hi, lo);
      }
      noteAcquired(cpu, hi, lo, losses > 0);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      yield* steps.free(cpu, hi, lo);
    },
  };
}
