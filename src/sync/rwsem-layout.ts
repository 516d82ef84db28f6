/**
 * Words of a rw_semaphore and of a waiter, and the bits of its count and owner.
 * Source: include/linux/rwsem.h (struct rw_semaphore, 40 bytes), kernel/locking/rwsem.c (v5.10 and
 * later).
 * Deviations: the count has 32 bits instead of 64 (8.3 million readers are enough); the owner is a
 * CPU number + 1 instead of a task pointer; waiters are named by CPU, one per CPU.
 */

import type { Cpu } from '../cpu/cpu.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** Offsets in the semaphore. */
export const Semaphore = {
  Count: 0,
  Owner: 8,
  SpinQueue: 16,
  WaitLock: 20,
  /** First and last waiter: CPU + 1, 0 = none. */
  First: 24,
  Last: 28,
} as const;
export const SEMAPHORE_BYTES = 40;

export const WRITER_LOCKED = 1;
export const WAITERS = 2;
export const HANDOFF = 4;
export const READER = 256;
export const READER_MASK = ~0xff;
export const LOCK_MASK = READER_MASK | WRITER_LOCKED;
/** A reader that finds one of these may not just go in. */
export const READ_FAILED = WRITER_LOCKED | WAITERS | HANDOFF;

export const OWNER_SHIFT = 2;
export const READER_OWNED = 1;
export const NON_SPINNABLE = 2;

/** Offsets in a waiter. */
export const Waiter = {
  Next: 0,
  Previous: 4,
  /** 1 = wants to write. */
  Writes: 8,
  /** 1 until a waker has granted the lock (readers), kept by writers until they leave the list. */
  Waiting: 12,
  /** The waiter asked for a hand-off. */
  Handoff: 16,
  /** Times that a writer stole the lock from under a grant to this reader. */
  Robbed: 20,
} as const;

export function waiterHi(cpu: Cpu, owner: number): number {
  return cpu.perCpuHi(owner);
}

export function waiterLo(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.RwsemWaiter);
}
