/**
 * The simple reader-writer lock: one word that counts readers, its sign bit the writer. No queue.
 * Source: arch/arm64/include/asm/spinlock.h up to v4.14 (arch_read_lock, arch_write_lock,
 * arch_write_trylock); qrwlock replaced it because its writers starve.
 * Invariant: a writer goes in only from 0; the sign bit is set exactly while it is inside; a reader
 * that finds it set takes its announcement back before it waits.
 * Line transfers per hand-over: readers 2 per read (both atomics on one line), writers 2, and one
 * per waiter that looks again.
 * Deviation: readers count themselves with a fetch-and-add and take it back, where the kernel's
 * load-exclusive loop never counts beside a writer. No fairness: a stream of readers keeps writers
 * out for ever.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { ReadWriteLock } from './lock.ts';
import {
  lockBranch,
  noteAcquired,
  notePassed,
  noteReadAcquired,
  noteReadReleased,
  noteReleased,
  noteTried,
} from './lock-events.ts';

const WRITER = 0x80000000 | 0;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  readerWaited: lockBranch('simple-rwlock', 'reader took its announcement back', [2, 1]),
  readerAgain: lockBranch('simple-rwlock', 'reader met a second writer', [3, 1], [2, 3]),
  writerWaited: lockBranch('simple-rwlock', 'writer waited until nobody was inside', [2, 1]),
  writerAgain: lockBranch('simple-rwlock', 'writer lost it again after waiting', [3, 1], [2, 2]),
} as const;

export interface SimpleReadWriteSteps {
  /** Counts a reader; result in cpu.lo: the word before. */
  enterReader(cpu: Cpu, hi: number, lo: number): Program;
  /** After entering beside a writer: out again, until it has gone. Then enters anew. */
  waitReader(cpu: Cpu, hi: number, lo: number): Program;
  /** One attempt. */
  leaveReader(cpu: Cpu, hi: number, lo: number): boolean;
  /** One attempt; cpu.ok = nobody was inside and the lock is ours. */
  tryWriter(cpu: Cpu, hi: number, lo: number): boolean;
  /** Until nobody is inside. */
  waitWriter(cpu: Cpu, hi: number, lo: number): Program;
  /** One attempt. */
  leaveWriter(cpu: Cpu, hi: number, lo: number): boolean;
  /** Held for reading; cpu.ok = this was the only reader and is the writer now. */
  tryUpgrade(cpu: Cpu, hi: number, lo: number): Program;
}

export const simpleReadWriteSteps: SimpleReadWriteSteps = {
  *enterReader(cpu, hi, lo) {
    while (!cpu.add32(hi, lo, 1, Order.Acquire)) yield;
  },

  *waitReader(cpu, hi, lo) {
    while (!cpu.add32(hi, lo, -1, Order.Relaxed)) yield;
    while (!cpu.cond32(hi, lo, Condition.AnyBitClear, WRITER, 0, Order.Relaxed)) yield;
  },

  leaveReader: (cpu, hi, lo) => cpu.add32(hi, lo, -1, Order.Release),

  tryWriter: (cpu, hi, lo) => cpu.cas32(hi, lo, 0, WRITER, Order.Acquire),

  *waitWriter(cpu, hi, lo) {
    while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Relaxed)) yield;
  },

  // Not a store: readers that are about to go out again are counted beside the bit.
  leaveWriter: (cpu, hi, lo) => cpu.clear32(hi, lo, WRITER, Order.Release),

  *tryUpgrade(cpu, hi, lo) {
    while (!cpu.cas32(hi, lo, 1, WRITER, Order.Acquire)) yield;
  },
};

export interface UpgradableReadWriteLock extends ReadWriteLock {
  /**
   * Reader to writer; result in cpu.ret: 1 = done. 0: still a reader, who has to leave before he
   * may ask for writing, because another one may want the same.
   */
  tryUpgrade(cpu: Cpu, hi: number, lo: number): Program;
}

export function makeSimpleReadWriteLock(
  steps: SimpleReadWriteSteps = simpleReadWriteSteps,
): UpgradableReadWriteLock {
  return {
    name: 'simple-rwlock',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      while (!steps.tryWriter(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) notePassed(cpu, Passed.writerWaited);
      while (!cpu.ok) {
        yield* steps.waitWriter(cpu, hi, lo);
        while (!steps.tryWriter(cpu, hi, lo)) yield;
        if (!cpu.ok) notePassed(cpu, Passed.writerAgain);
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.leaveWriter(cpu, hi, lo)) yield;
    },

    *acquireRead(cpu, hi, lo) {
      yield* steps.enterReader(cpu, hi, lo);
      const contended = cpu.lo < 0;
      if (contended) notePassed(cpu, Passed.readerWaited);
      while (cpu.lo < 0) {
        yield* steps.waitReader(cpu, hi, lo);
        yield* steps.enterReader(cpu, hi, lo);
        if (cpu.lo < 0) notePassed(cpu, Passed.readerAgain);
      }
      noteReadAcquired(cpu, hi, lo, contended);
    },

    *releaseRead(cpu, hi, lo) {
      noteReadReleased(cpu, hi, lo);
      while (!steps.leaveReader(cpu, hi, lo)) yield;
    },

    *tryUpgrade(cpu, hi, lo) {
      yield* steps.tryUpgrade(cpu, hi, lo);
      cpu.ret = cpu.ok ? 1 : 0;
      if (cpu.ret === 0) return;
      // Nobody was between the two: the read hold ends where the write hold begins.
      noteReadReleased(cpu, hi, lo);
      noteTried(cpu, hi, lo);
      noteAcquired(cpu, hi, lo, false);
    },
  };
}
