/**
 * futex(2): a task sleeps while a word has a value that it expects, another one wakes it by the
 * word's address. A hash table of buckets, each a spinlock, a count of waiters and a FIFO list.
 * Source: kernel/futex/waitwake.c (futex_wait_setup, futex_wake), kernel/futex/core.c
 * (futex_hb_waiters_inc, futex_hb_waiters_pending).
 * Invariants: a waiter raises the bucket's count before it looks at the word, a waker writes the
 * word before it looks at the count: one of them sees the other; the word is compared with the
 * bucket locked, so no wake falls between the comparison and the sleep.
 * Deviations: one bucket per CPU, in its area; a waiter is named by its CPU, one per CPU; no
 * timeouts, no requeue; a real-time waiter goes before others in the kernel, here all are equal.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Fence, Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import { sleepUntilWoken } from './sleep.ts';

/** A bucket: its lock, tasks that wait or are about to, first and last waiter (CPU + 1). */
const Bucket = { Lock: 0, Waiters: 4, First: 8, Last: 12 } as const;
/** A waiter: the next one, 1 while it waits, the address that it waits on. */
const Waiter = { Next: 0, Waiting: 4, Key: 8 } as const;

interface Place {
  readonly hi: number;
  readonly lo: number;
}

function bucketOf(cpu: Cpu, hi: number, lo: number): Place {
  const owner = ((lo >>> 6) + (lo >>> 2) + hi) % cpu.cpuCount;
  const index = owner < 0 ? owner + cpu.cpuCount : owner;
  return { hi: cpu.perCpuHi(index), lo: nodeLo(cpu, index, LockNode.FutexBucket) };
}

function waiterOf(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.FutexWaiter);
}

export interface FutexSteps {
  /** With the bucket locked; result in cpu.ok: the word still has the expected value. */
  compare(cpu: Cpu, hi: number, lo: number, expected: number): boolean;
  /** Between writing the word and looking for waiters. One attempt. */
  order(cpu: Cpu): boolean;
}

export const futexSteps: FutexSteps = {
  compare(cpu, hi, lo, expected) {
    if (!cpu.load32(hi, lo, Order.Relaxed)) return false;
    cpu.ok = cpu.lo === expected;
    return true;
  },

  order: (cpu) => cpu.fence(Fence.DmbIsh),
};

/** FUTEX_WAIT; result in cpu.ret: 1 = woken, 0 = the word had another value. */
export function* futexWait(
  cpu: Cpu,
  hi: number,
  lo: number,
  expected: number,
  steps: FutexSteps = futexSteps,
): Program {
  const bucket = bucketOf(cpu, hi, lo);
  const self = cpu.id + 1;
  const ownHi = cpu.perCpuHi(cpu.id);
  const own = waiterOf(cpu, cpu.id);
  const count = bucket.lo + Bucket.Waiters;
  while (!cpu.add32(bucket.hi, count, 1, Order.SequentiallyConsistent)) yield;
  yield* queuedSpinLock(cpu, bucket.hi, bucket.lo + Bucket.Lock);
  while (!steps.compare(cpu, hi, lo, expected)) yield;
  if (!cpu.ok) {
    while (!queuedSpinUnlock(cpu, bucket.hi, bucket.lo + Bucket.Lock)) yield;
    while (!cpu.add32(bucket.hi, count, -1, Order.Relaxed)) yield;
    cpu.ret = 0;
    return;
  }
  while (!cpu.store64(ownHi, own + Waiter.Key, hi, lo, Order.Relaxed)) yield;
  while (!cpu.store64(ownHi, own, 1, 0, Order.Relaxed)) yield;
  while (!cpu.load32(bucket.hi, bucket.lo + Bucket.Last, Order.Relaxed)) yield;
  const last = cpu.lo;
  const linkHi = last === 0 ? bucket.hi : cpu.perCpuHi(last - 1);
  const link = last === 0 ? bucket.lo + Bucket.First : waiterOf(cpu, last - 1) + Waiter.Next;
  while (!cpu.store32(linkHi, link, self, Order.Relaxed)) yield;
  while (!cpu.store32(bucket.hi, bucket.lo + Bucket.Last, self, Order.Relaxed)) yield;
  while (!queuedSpinUnlock(cpu, bucket.hi, bucket.lo + Bucket.Lock)) yield;
  for (;;) {
    while (!cpu.load32(ownHi, own + Waiter.Waiting, Order.Acquire)) yield;
    if (cpu.lo === 0) break;
    yield* sleepUntilWoken(cpu);
  }
  cpu.ret = 1;
}

/** FUTEX_WAKE: wakes up to `limit` tasks that wait on the word. */
export function* futexWake(
  cpu: Cpu,
  hi: number,
  lo: number,
  limit: number,
  steps: FutexSteps = futexSteps,
): Program {
  const bucket = bucketOf(cpu, hi, lo);
  while (!steps.order(cpu)) yield;
  while (!cpu.load32(bucket.hi, bucket.lo + Bucket.Waiters, Order.Relaxed)) yield;
  if (cpu.lo === 0) return;
  const woken: number[] = [];
  yield* queuedSpinLock(cpu, bucket.hi, bucket.lo + Bucket.Lock);
  yield* unlinkWaiters(cpu, hi, lo, bucket, limit, woken);
  while (!queuedSpinUnlock(cpu, bucket.hi, bucket.lo + Bucket.Lock)) yield;
  for (const target of woken) while (!cpu.wake(target)) yield;
}

/** Takes waiters on the word off the list; their CPUs go into `woken`. */
function* unlinkWaiters(
  cpu: Cpu,
  hi: number,
  lo: number,
  bucket: Place,
  limit: number,
  woken: number[],
): Program {
  let before = 0;
  while (!cpu.load32(bucket.hi, bucket.lo + Bucket.First, Order.Relaxed)) yield;
  let at = cpu.lo;
  while (at !== 0 && woken.length < limit) {
    const atHi = cpu.perCpuHi(at - 1);
    const atLo = waiterOf(cpu, at - 1);
    while (!cpu.load32(atHi, atLo + Waiter.Next, Order.Relaxed)) yield;
    const next = cpu.lo;
    while (!cpu.load64(atHi, atLo + Waiter.Key, Order.Relaxed)) yield;
    if (cpu.hi !== hi || cpu.lo !== lo) {
      before = at;
      at = next;
      continue;
    }
    const linkHi = before === 0 ? bucket.hi : cpu.perCpuHi(before - 1);
    const link = before === 0 ? bucket.lo + Bucket.First : waiterOf(cpu, before - 1) + Waiter.Next;
    while (!cpu.store32(linkHi, link, next, Order.Relaxed)) yield;
    if (next === 0) {
      while (!cpu.store32(bucket.hi, bucket.lo + Bucket.Last, before, Order.Relaxed)) yield;
    }
    while (!cpu.add32(bucket.hi, bucket.lo + Bucket.Waiters, -1, Order.Relaxed)) yield;
    while (!cpu.store32(atHi, atLo + Waiter.Waiting, 0, Order.Release)) yield;
    woken.push(at - 1);
    at = next;
  }
}
