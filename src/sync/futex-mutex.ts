/**
 * A user-space mutex over futex(2), three states: 0 free, 1 owned, 2 owned and somebody may sleep.
 * Source: U. Drepper, "Futexes Are Tricky", 2011, section 6 (mutex2); glibc's lowlevellock.
 * Invariant: a task that sleeps, or is about to, has set the word to 2, and whoever takes the lock
 * after having waited leaves it at 2, so that its release wakes.
 * Line transfers per hand-over: 2 without sleepers; with them 10 and more (the word, the bucket,
 * its lock and the waiter, each to the waker and back) and the wake-up.
 * Deviation: a CPU runs one task, so a system call costs no mode switch, only what it does.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { futexWait, futexWake } from './futex.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';

const FREE = 0;
const OWNED = 1;
const SLEEPERS = 2;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  marked: lockBranch('futex', 'said that it may sleep and got it at once', [2, 1]),
  asleep: lockBranch('futex', 'slept and was woken', [2, 1]),
  changed: lockBranch('futex', 'word changed before it slept', [2, 1]),
  woke: lockBranch('futex', 'released with sleepers to wake', [2, 1]),
} as const;

/** Steps that are no programs are one attempt each. */
export interface FutexMutexSteps {
  /** Result in cpu.ok, and in cpu.lo the word before. */
  takeFree(cpu: Cpu, hi: number, lo: number): boolean;
  /** Says that somebody may sleep, and takes the lock if it is free; result in cpu.lo. */
  takeSlow(cpu: Cpu, hi: number, lo: number): boolean;
  wait(cpu: Cpu, hi: number, lo: number): Program;
  /** Result in cpu.lo: the word before. */
  leave(cpu: Cpu, hi: number, lo: number): boolean;
  wake(cpu: Cpu, hi: number, lo: number): Program;
}

export const futexMutexSteps: FutexMutexSteps = {
  takeFree: (cpu, hi, lo) => cpu.cas32(hi, lo, FREE, OWNED, Order.Acquire),
  takeSlow: (cpu, hi, lo) => cpu.swap32(hi, lo, SLEEPERS, Order.Acquire),
  wait: (cpu, hi, lo) => futexWait(cpu, hi, lo, SLEEPERS),
  leave: (cpu, hi, lo) => cpu.swap32(hi, lo, FREE, Order.Release),
  wake: (cpu, hi, lo) => futexWake(cpu, hi, lo, 1),
};

export function makeFutexMutex(steps: FutexMutexSteps = futexMutexSteps): Lock {
  return {
    name: 'futex',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      while (!steps.takeFree(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) {
        if (cpu.lo !== SLEEPERS) {
          while (!steps.takeSlow(cpu, hi, lo)) yield;
          if (cpu.lo === FREE) notePassed(cpu, Passed.marked);
        }
        while (cpu.lo !== FREE) {
          yield* steps.wait(cpu, hi, lo);
          notePassed(cpu, cpu.ret === 1 ? Passed.asleep : Passed.changed);
          while (!steps.takeSlow(cpu, hi, lo)) yield;
        }
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.leave(cpu, hi, lo)) yield;
      if (cpu.lo === SLEEPERS) {
        notePassed(cpu, Passed.woke);
        yield* steps.wake(cpu, hi, lo);
      }
    },
  };
}
