/**
 * Sequence counter: writers make it odd and even again around a change, readers repeat their
 * reading if it was odd or has moved. And the seqlock, which is one with a spinlock for its
 * writers.
 * Source: include/linux/seqlock.h (read_seqcount_begin, read_seqcount_retry,
 * raw_write_seqcount_begin, seqlock_t).
 * Invariant: odd exactly while a writer is inside; one writer at a time (the caller's lock).
 * Line transfers: readers write nothing; every change costs each reader one read of the line.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import { noteAcquired, noteReleased } from './lock-events.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';

/** Result in cpu.lo: the even sequence to give to readRetry. */
export function* sequenceReadBegin(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.cond32(hi, lo, Condition.AnyBitClear, 1, 0, Order.Acquire)) yield;
}

/** Result in cpu.ret: 1 = what was read in between may be torn, read again. */
export function* sequenceReadRetry(cpu: Cpu, hi: number, lo: number, start: number): Program {
  while (!cpu.fence(Fence.DmbIshLd)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  cpu.ret = cpu.lo === start ? 0 : 1;
}

export function* sequenceWriteBegin(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const odd = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo, odd, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DmbIshSt)) yield;
}

export function* sequenceWriteEnd(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.fence(Fence.DmbIshSt)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const even = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo, even, Order.Relaxed)) yield;
}

/** seqlock_t: the sequence, then the writers' spinlock. */
export const SEQLOCK_BYTES = 8;
const WRITERS = 4;

export function* seqlockWriteLock(cpu: Cpu, hi: number, lo: number): Program {
  yield* queuedSpinLock(cpu, hi, lo + WRITERS);
  noteAcquired(cpu, hi, lo, cpu.ret === 1);
  yield* sequenceWriteBegin(cpu, hi, lo);
}

export function* seqlockWriteUnlock(cpu: Cpu, hi: number, lo: number): Program {
  yield* sequenceWriteEnd(cpu, hi, lo);
  noteReleased(cpu, hi, lo);
  while (!queuedSpinUnlock(cpu, hi, lo + WRITERS)) yield;
}
