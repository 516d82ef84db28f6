/**
 * Sequence counter: writers make it odd and even again around a change, readers repeat their
 * reading if it was odd or has moved. And the seqlock, which is one with a spinlock for its
 * writers.
 * Source: include/linux/seqlock.h (read_seqcount_begin, read_seqcount_retry,
 * raw_write_seqcount_begin, seqlock_t).
 * Invariant: odd exactly while a writer is inside; one writer at a time (the caller's lock).
 * Line transfers: readers write nothing; every change costs each reader one read of the line.
 * Writers: those of the spinlock (8 with three CPUs and more), which shares the sequence's line;
 * its next owner watches that line, so the first and the last store of a change cost a look each
 * unless they fall together with the lock's own: 8 to 10.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { noteAcquired, noteReleased } from './lock-events.ts';
import { QueuedBranch, queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';

export interface SequenceSteps {
  /** Waits for an even sequence; result in cpu.lo. */
  readBegin(cpu: Cpu, hi: number, lo: number): Program;
  /** One attempt: what was read is read before the sequence is looked at again. */
  readFence(cpu: Cpu): boolean;
  /** One attempt: the sequence moves before what comes after, and after what came before. */
  writeFence(cpu: Cpu): boolean;
  /** Keeps writers apart; result in cpu.ret: 1 = had to wait. */
  lockWriters(cpu: Cpu, hi: number, lo: number): Program;
  /** One attempt. */
  unlockWriters(cpu: Cpu, hi: number, lo: number): boolean;
}

export const sequenceSteps: SequenceSteps = {
  *readBegin(cpu, hi, lo) {
    while (!cpu.cond32(hi, lo, Condition.AnyBitClear, 1, 0, Order.Acquire)) yield;
  },
  readFence: (cpu) => cpu.fence(Fence.DmbIshLd),
  writeFence: (cpu) => cpu.fence(Fence.DmbIshSt),
  lockWriters: queuedSpinLock,
  unlockWriters: queuedSpinUnlock,
};

/** Result in cpu.lo: the even sequence to give to readRetry. */
export function* sequenceReadBegin(cpu: Cpu, hi: number, lo: number): Program {
  yield* sequenceSteps.readBegin(cpu, hi, lo);
}

/** Result in cpu.ret: 1 = what was read in between may be torn, read again. */
export function* sequenceReadRetry(
  cpu: Cpu,
  hi: number,
  lo: number,
  start: number,
  steps: SequenceSteps = sequenceSteps,
): Program {
  while (!steps.readFence(cpu)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  cpu.ret = cpu.lo === start ? 0 : 1;
}

export function* sequenceWriteBegin(
  cpu: Cpu,
  hi: number,
  lo: number,
  steps: SequenceSteps = sequenceSteps,
): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const odd = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo, odd, Order.Relaxed)) yield;
  while (!steps.writeFence(cpu)) yield;
}

export function* sequenceWriteEnd(
  cpu: Cpu,
  hi: number,
  lo: number,
  steps: SequenceSteps = sequenceSteps,
): Program {
  while (!steps.writeFence(cpu)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const even = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo, even, Order.Relaxed)) yield;
}

/** seqlock_t: the sequence, then the writers' spinlock. */
export const SEQLOCK_BYTES = 8;
const WRITERS = 4;

/** acquire and release are the write side (write_seqlock, write_sequnlock). */
export interface SequenceLock extends Lock {
  /** read_seqbegin; result in cpu.lo: the sequence to give to readRetry. */
  readBegin(cpu: Cpu, hi: number, lo: number): Program;
  /** read_seqretry; result in cpu.ret: 1 = read again. */
  readRetry(cpu: Cpu, hi: number, lo: number, start: number): Program;
}

export function makeSequenceLock(steps: SequenceSteps = sequenceSteps): SequenceLock {
  return {
    name: 'seqlock',
    bytes: SEQLOCK_BYTES,
    branches: [QueuedBranch.pending, QueuedBranch.queued],

    *acquire(cpu, hi, lo) {
      yield* steps.lockWriters(cpu, hi, lo + WRITERS);
      noteAcquired(cpu, hi, lo, cpu.ret === 1);
      yield* sequenceWriteBegin(cpu, hi, lo, steps);
    },

    *release(cpu, hi, lo) {
      yield* sequenceWriteEnd(cpu, hi, lo, steps);
      noteReleased(cpu, hi, lo);
      while (!steps.unlockWriters(cpu, hi, lo + WRITERS)) yield;
    },

    readBegin: (cpu, hi, lo) => steps.readBegin(cpu, hi, lo),
    readRetry: (cpu, hi, lo, start) => sequenceReadRetry(cpu, hi, lo, start, steps),
  };
}

const seqlock = makeSequenceLock();

export function seqlockWriteLock(cpu: Cpu, hi: number, lo: number): Program {
  return seqlock.acquire(cpu, hi, lo);
}

export function seqlockWriteUnlock(cpu: Cpu, hi: number, lo: number): Program {
  return seqlock.release(cpu, hi, lo);
}
