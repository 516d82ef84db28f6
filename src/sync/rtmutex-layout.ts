/**
 * Words of an rt_mutex, of a waiter and of a task, and the list of waiters by priority.
 * Source: include/linux/rtmutex.h (struct rt_mutex_base), kernel/locking/rtmutex_common.h.
 * Invariants: the list changes under wait_lock only, sorted by priority (low number first), first
 * come first among equals; a task's `Blocked` names the lock whose list it is on.
 * Deviations: a sorted list where the kernel has a red-black tree; owner and waiters are CPU
 * numbers; one waiter per CPU.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** First: CPU + 1 of the top waiter, 0 = none. */
export const RtField = { Owner: 0, WaitLock: 4, First: 8 } as const;
export const RT_MUTEX_BYTES = 16;

/** RT_MUTEX_HAS_WAITERS, the lowest bit of the owner word: no fast path. */
export const HAS_WAITERS = 1;

export function rtTask(cpuId: number): number {
  return (cpuId + 1) << 1;
}

/** CPU of an owner word, -1 = none. */
export function rtOwner(word: number): number {
  return (word >>> 1) - 1;
}

/** Blocked: the address (64 bits) of the lock that the task waits for, 0 = none. */
export const RtWaiter = { Next: 0, Priority: 4, Blocked: 8 } as const;

/** Boost: priority + 1 that the task inherited, 0 = none. Held: rt_mutexes that it owns. */
export const RtTask = { Boost: 0, Held: 4 } as const;

export function rtWaiterLo(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.RtWaiter);
}

export function rtTaskLo(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.RtTask);
}

/** Inserts the waiter of CPU `of` by priority, with wait_lock held. */
export function* insertRtWaiter(
  cpu: Cpu,
  hi: number,
  lo: number,
  of: number,
  priority: number,
): Program {
  const ofHi = cpu.perCpuHi(of);
  const ofLo = rtWaiterLo(cpu, of);
  let linkHi = hi;
  let linkLo = lo + RtField.First;
  for (;;) {
    while (!cpu.load32(linkHi, linkLo, Order.Relaxed)) yield;
    const next = cpu.lo;
    if (next !== 0) {
      const nextHi = cpu.perCpuHi(next - 1);
      const nextLo = rtWaiterLo(cpu, next - 1);
      while (!cpu.load32(nextHi, nextLo + RtWaiter.Priority, Order.Relaxed)) yield;
      if (cpu.lo <= priority) {
        linkHi = nextHi;
        linkLo = nextLo + RtWaiter.Next;
        continue;
      }
    }
    while (!cpu.store64(ofHi, ofLo, priority, next, Order.Relaxed)) yield;
    while (!cpu.store32(linkHi, linkLo, of + 1, Order.Relaxed)) yield;
    return;
  }
}

/** Takes the waiter of CPU `of` off the list, with wait_lock held. */
export function* removeRtWaiter(cpu: Cpu, hi: number, lo: number, of: number): Program {
  let linkHi = hi;
  let linkLo = lo + RtField.First;
  for (;;) {
    while (!cpu.load32(linkHi, linkLo, Order.Relaxed)) yield;
    const at = cpu.lo;
    if (at === 0) return;
    const atHi = cpu.perCpuHi(at - 1);
    const atLo = rtWaiterLo(cpu, at - 1);
    if (at === of + 1) {
      while (!cpu.load32(atHi, atLo + RtWaiter.Next, Order.Relaxed)) yield;
      const next = cpu.lo;
      while (!cpu.store32(linkHi, linkLo, next, Order.Relaxed)) yield;
      return;
    }
    linkHi = atHi;
    linkLo = atLo + RtWaiter.Next;
  }
}
