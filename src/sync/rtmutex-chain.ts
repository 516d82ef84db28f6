/**
 * Priority inheritance: who waits lends its priority to the owner, and to whoever that one waits
 * for.
 * Source: kernel/locking/rtmutex.c: rt_mutex_adjust_prio_chain, task_blocks_on_rt_mutex.
 * Invariant: an owner is boosted with wait_lock of the lock that it owns held, so it can't have
 * released it. A task that owns nothing has no boost.
 * Deviations: a task keeps its highest boost until it has released all its rt_mutexes (the kernel
 * takes the best waiter of those that are left); a chain ends where a lock changes hands meanwhile;
 * a cycle (deadlock) ends at the maximal depth and isn't reported here.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { lockBranch, notePassed } from './lock-events.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import {
  insertRtWaiter,
  RtField,
  RtTask,
  RtWaiter,
  removeRtWaiter,
  rtOwner,
  rtTaskLo,
  rtWaiterLo,
} from './rtmutex-layout.ts';

/** max_lock_depth is 1024 in the kernel; a chain has no more tasks than CPUs. */
const DEPTH_MAX = 1024;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const BoostBranch = {
  boosted: lockBranch('rtmutex', 'owner boosted', [2, 1]),
  enough: lockBranch('rtmutex', 'owner boosted enough already', [3, 1], [2, 2]),
  chain: lockBranch('rtmutex', 'boost went on along the chain', [4, 1], [2, 2]),
  moved: lockBranch('rtmutex', 'chain ended: the lock had changed hands', [4, 1], [2, 2]),
  higher: lockBranch('rtmutex', 'waiter moved up by a boost', [4, 1], [2, 2]),
  stale: lockBranch('rtmutex', 'waiter was high enough already', [4, 1], [2, 2]),
  ownerless: lockBranch('rtmutex', 'owner left before it could be boosted', [3, 1], [2, 2]),
} as const;

/** Raises the boost of a task; result in cpu.ret: 1 = it was lower before. */
function* boost(cpu: Cpu, task: number, priority: number): Program {
  const taskHi = cpu.perCpuHi(task);
  const at = rtTaskLo(cpu, task) + RtTask.Boost;
  while (!cpu.load32(taskHi, at, Order.Relaxed)) yield;
  for (;;) {
    const before = cpu.lo;
    cpu.ret = 0;
    if (before !== 0 && before <= priority + 1) return;
    while (!cpu.cas32(taskHi, at, before, priority + 1, Order.Relaxed)) yield;
    cpu.ret = 1;
    if (cpu.ok) return;
  }
}

/**
 * Boosts the owner of the lock, whose wait_lock is held, and lets go of wait_lock; goes on with the
 * lock that the owner waits for.
 */
export function* boostChain(cpu: Cpu, hi: number, lo: number, priority: number): Program {
  let atHi = hi;
  let atLo = lo;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    while (!cpu.load32(atHi, atLo + RtField.Owner, Order.Relaxed)) yield;
    const owner = rtOwner(cpu.lo);
    let goesOn = owner >= 0;
    if (goesOn) {
      yield* boost(cpu, owner, priority);
      goesOn = cpu.ret === 1;
      notePassed(cpu, goesOn ? BoostBranch.boosted : BoostBranch.enough);
    }
    if (owner < 0) notePassed(cpu, BoostBranch.ownerless);
    while (!queuedSpinUnlock(cpu, atHi, atLo + RtField.WaitLock)) yield;
    if (!goesOn) return;
    const blocked = rtWaiterLo(cpu, owner) + RtWaiter.Blocked;
    while (!cpu.load64(cpu.perCpuHi(owner), blocked, Order.Relaxed)) yield;
    if (cpu.hi === 0) return;
    atHi = cpu.hi;
    atLo = cpu.lo;
    yield* queuedSpinLock(cpu, atHi, atLo + RtField.WaitLock);
    while (!cpu.load64(cpu.perCpuHi(owner), blocked, Order.Relaxed)) yield;
    if (cpu.hi !== atHi || cpu.lo !== atLo) {
      notePassed(cpu, BoostBranch.moved);
      while (!queuedSpinUnlock(cpu, atHi, atLo + RtField.WaitLock)) yield;
      return;
    }
    notePassed(cpu, BoostBranch.chain);
    yield* moveUp(cpu, atHi, atLo, owner, priority);
  }
  while (!queuedSpinUnlock(cpu, atHi, atLo + RtField.WaitLock)) yield;
}

/**
 * A waiter's priority may have risen: its place in the list, and a new first waiter of a free lock.
 * Never down: the boost may be older than the waiting, and lower than the task's own priority.
 */
function* moveUp(cpu: Cpu, hi: number, lo: number, task: number, priority: number): Program {
  const own = rtWaiterLo(cpu, task) + RtWaiter.Priority;
  while (!cpu.load32(cpu.perCpuHi(task), own, Order.Relaxed)) yield;
  notePassed(cpu, cpu.lo <= priority ? BoostBranch.stale : BoostBranch.higher);
  if (cpu.lo <= priority) return;
  yield* removeRtWaiter(cpu, hi, lo, task);
  yield* insertRtWaiter(cpu, hi, lo, task, priority);
  while (!cpu.load32(hi, lo + RtField.First, Order.Relaxed)) yield;
  const first = cpu.lo - 1;
  while (!cpu.load32(hi, lo + RtField.Owner, Order.Relaxed)) yield;
  // The one that was woken for it will find that it isn't first any more, and sleep again.
  if (rtOwner(cpu.lo) < 0 && first === task) while (!cpu.wake(task)) yield;
}
