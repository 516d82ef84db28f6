/**
 * The kernel's queued reader-writer lock: a count word, and a queued spinlock that everybody who
 * can't get in at once queues on, so that readers and writers take turns.
 * Source: kernel/locking/qrwlock.c, include/asm-generic/qrwlock.h (v5.x and later).
 * Invariants: byte 0 of the count = 0xff while a writer owns it; bits 9-31 = readers inside or
 * announcing themselves; at most one CPU, the owner of wait_lock, waits on the count.
 * Line transfers per hand-over: readers 2 per read (both atomics on one line). Writers 3 to 4
 * between two CPUs. With more, wait_lock shares the count's line, and two CPUs watch it, the owner
 * of wait_lock and the head of its queue: nodes 4, the line to the releaser, to whoever arrives,
 * and to each of the two after the release, after wait_lock has passed or the WAITING of its new
 * owner: 10 if their looks fall together; 18 if each of the three atomics of an arrival costs two
 * looks. Deviation: the unfair path of readers in interrupt context is not modelled.
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
} from './lock-events.ts';
import { QueuedBranch, queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';

const LOCKED = 0xff;
const WAITING = 0x100;
const WRITER_MASK = 0x1ff;
const READER = 1 << 9;
const WAIT_LOCK = 4;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  readerWaited: lockBranch('qrwlock', 'reader went out again and queued', [2, 1]),
  writerFree: lockBranch('qrwlock', 'writer found it free from the queue', [2, 1]),
  writerWaited: lockBranch('qrwlock', 'writer kept readers out and waited', [2, 1]),
  writerLost: lockBranch(
    'qrwlock',
    'a reader announced itself as the writer took it',
    [3, 1],
    [2, 2],
  ),
} as const;

export interface QueuedReadWriteSteps {
  /** Adds a reader, one attempt; result in cpu.lo: the count before. */
  enterReader(cpu: Cpu, hi: number, lo: number): boolean;
  /** Out again, queue, in again, wait until no writer is inside. */
  waitReader(cpu: Cpu, hi: number, lo: number): Program;
  leaveReader(cpu: Cpu, hi: number, lo: number): boolean;
  /** One attempt; cpu.ok = nobody was inside and the lock is ours. */
  tryWriter(cpu: Cpu, hi: number, lo: number): boolean;
  /** At the head of the queue: keeps new readers out and waits until all have left. */
  waitWriter(cpu: Cpu, hi: number, lo: number): Program;
  leaveWriter(cpu: Cpu, hi: number, lo: number): boolean;
}

export const queuedReadWriteSteps: QueuedReadWriteSteps = {
  enterReader: (cpu, hi, lo) => cpu.add32(hi, lo, READER, Order.Acquire),

  *waitReader(cpu, hi, lo) {
    while (!cpu.add32(hi, lo, -READER, Order.Relaxed)) yield;
    yield* queuedSpinLock(cpu, hi, lo + WAIT_LOCK);
    while (!cpu.add32(hi, lo, READER, Order.Relaxed)) yield;
    while (!cpu.cond32(hi, lo, Condition.Equal, LOCKED, 0, Order.Acquire)) yield;
    while (!queuedSpinUnlock(cpu, hi, lo + WAIT_LOCK)) yield;
  },

  leaveReader: (cpu, hi, lo) => cpu.add32(hi, lo, -READER, Order.Release),

  tryWriter: (cpu, hi, lo) => cpu.cas32(hi, lo, 0, LOCKED, Order.Acquire),

  *waitWriter(cpu, hi, lo) {
    while (!cpu.set32(hi, lo, WAITING, Order.Relaxed)) yield;
    do {
      while (!cpu.cond32(hi, lo, Condition.Equal, -1, WAITING, Order.Relaxed)) yield;
      while (!cpu.cas32(hi, lo, WAITING, LOCKED, Order.Acquire)) yield;
      if (!cpu.ok) notePassed(cpu, Passed.writerLost);
    } while (!cpu.ok);
  },

  leaveWriter: (cpu, hi, lo) => cpu.store8(hi, lo, 0, Order.Release),
};

/** queued_write_lock_slowpath. */
function* writeSlowPath(cpu: Cpu, hi: number, lo: number, steps: QueuedReadWriteSteps): Program {
  yield* queuedSpinLock(cpu, hi, lo + WAIT_LOCK);
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  let taken = false;
  if (cpu.lo === 0) {
    while (!steps.tryWriter(cpu, hi, lo)) yield;
    taken = cpu.ok;
  }
  notePassed(cpu, taken ? Passed.writerFree : Passed.writerWaited);
  if (!taken) yield* steps.waitWriter(cpu, hi, lo);
  while (!queuedSpinUnlock(cpu, hi, lo + WAIT_LOCK)) yield;
}

export function makeQueuedReadWriteLock(
  steps: QueuedReadWriteSteps = queuedReadWriteSteps,
): ReadWriteLock {
  return {
    name: 'qrwlock',
    bytes: 8,
    branches: [
      ...Object.values(Passed),
      // Everybody is on the count first: of two CPUs in one round, one at most queues.
      {
        ...QueuedBranch.pending,
        from: [
          { cpus: 3, operations: 1 },
          { cpus: 2, operations: 2 },
        ],
      },
      {
        ...QueuedBranch.queued,
        from: [
          { cpus: 4, operations: 1 },
          { cpus: 3, operations: 2 },
        ],
      },
    ],

    *acquire(cpu, hi, lo) {
      while (!steps.tryWriter(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) yield writeSlowPath(cpu, hi, lo, steps);
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.leaveWriter(cpu, hi, lo)) yield;
    },

    *acquireRead(cpu, hi, lo) {
      while (!steps.enterReader(cpu, hi, lo)) yield;
      const contended = (cpu.lo & WRITER_MASK) !== 0;
      if (contended) {
        notePassed(cpu, Passed.readerWaited);
        yield steps.waitReader(cpu, hi, lo);
      }
      noteReadAcquired(cpu, hi, lo, contended);
    },

    *releaseRead(cpu, hi, lo) {
      noteReadReleased(cpu, hi, lo);
      while (!steps.leaveReader(cpu, hi, lo)) yield;
    },
  };
}
