/**
 * rt_mutex, the kernel's mutex with priority inheritance: waiters are served by priority, an owner
 * inherits that of its top waiter.
 * Source: kernel/locking/rtmutex.c: try_to_take_rt_mutex, rt_mutex_slowlock_block,
 * rt_mutex_slowunlock, mark_wakeup_next_waiter.
 * Invariants: HAS_WAITERS is set while anybody is on the list or has wait_lock to join it, so that
 * the owner word changes under wait_lock from then on; a lock that is free with waiters is taken by
 * the top waiter, or by a task of higher priority.
 * Line transfers per hand-over: 6 and more (the lock's line to the releaser, to the waiter and to
 * whoever arrives, the waiter's node there and back) and the wake-up.
 * Deviations: a CPU runs one task, so a boost shows only in where the boosted task queues
 * (rtmutex-chain.ts); the priority is the CPU's number, 0 the highest, or what priorityOf says; no
 * spinning on the owner (rtmutex_spin_on_owner); rtmutex-layout.ts names more.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import {
  distantBranch,
  lockBranch,
  noteAcquired,
  notePassed,
  noteReleased,
} from './lock-events.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import { BoostBranch, boostChain } from './rtmutex-chain.ts';
import {
  HAS_WAITERS,
  insertRtWaiter,
  RT_MUTEX_BYTES,
  RtField,
  RtTask,
  RtWaiter,
  removeRtWaiter,
  rtOwner,
  rtTask,
  rtTaskLo,
  rtWaiterLo,
} from './rtmutex-layout.ts';
import { sleepUntilWoken } from './sleep.ts';

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const RtBranch = {
  second: lockBranch('rtmutex', 'free on the second look', [2, 1]),
  slept: lockBranch('rtmutex', 'slept until woken', [2, 1]),
  refused: lockBranch('rtmutex', 'woken, and not the top waiter any more', [3, 1], [2, 2]),
  woke: lockBranch('rtmutex', 'woke the top waiter', [2, 1]),
  unclaimed: distantBranch(
    'rtmutex',
    'released after a waiter had gone',
    'takes a waiter that gives up, by a timeout or a signal',
  ),
  overtook: lockBranch('rtmutex', 'overtook a waiter of lower priority', [3, 1], [2, 2]),
} as const;

/** Steps that are no programs are one attempt each, but priorityOf. */
export interface RtMutexSteps {
  /** Low numbers go first. */
  priorityOf(cpuId: number): number;
  takeFree(cpu: Cpu, hi: number, lo: number): boolean;
  /** Result in cpu.ok: nobody waited, and the lock is free. */
  leaveFast(cpu: Cpu, hi: number, lo: number): boolean;
  /** With wait_lock held; result in cpu.ret: 1 = ours. `waits`: this CPU is on the list. */
  tryTake(cpu: Cpu, hi: number, lo: number, priority: number, waits: boolean): Program;
  insert(cpu: Cpu, hi: number, lo: number, of: number, priority: number): Program;
  /** Wait_lock is held on entry and not afterwards. */
  boost(cpu: Cpu, hi: number, lo: number, priority: number): Program;
  leaveSlow(cpu: Cpu, hi: number, lo: number): Program;
}

/** try_to_take_rt_mutex. */
function* tryTake(cpu: Cpu, hi: number, lo: number, priority: number, waits: boolean): Program {
  // From here on the fast paths fail and the word is ours to change.
  while (!cpu.set32(hi, lo + RtField.Owner, HAS_WAITERS, Order.Acquire)) yield;
  cpu.ret = 0;
  if (rtOwner(cpu.lo) >= 0) return;
  while (!cpu.load32(hi, lo + RtField.First, Order.Relaxed)) yield;
  const top = cpu.lo;
  if (top !== 0 && top !== cpu.id + 1) {
    if (waits) return;
    const at = rtWaiterLo(cpu, top - 1) + RtWaiter.Priority;
    while (!cpu.load32(cpu.perCpuHi(top - 1), at, Order.Relaxed)) yield;
    if (cpu.lo <= priority) return;
    notePassed(cpu, RtBranch.overtook);
  }
  if (waits) yield* stopWaiting(cpu, hi, lo);
  while (!cpu.load32(hi, lo + RtField.First, Order.Relaxed)) yield;
  const word = rtTask(cpu.id) | (cpu.lo === 0 ? 0 : HAS_WAITERS);
  while (!cpu.store32(hi, lo + RtField.Owner, word, Order.Relaxed)) yield;
  cpu.ret = 1;
}

function* stopWaiting(cpu: Cpu, hi: number, lo: number): Program {
  yield* removeRtWaiter(cpu, hi, lo, cpu.id);
  yield* setBlocked(cpu, 0, 0);
}

function* setBlocked(cpu: Cpu, hi: number, lo: number): Program {
  const at = rtWaiterLo(cpu, cpu.id) + RtWaiter.Blocked;
  while (!cpu.store64(cpu.perCpuHi(cpu.id), at, hi, lo, Order.Relaxed)) yield;
}

/** rt_mutex_slowunlock: the lock is free for the top waiter, which is woken. */
function* leaveSlow(cpu: Cpu, hi: number, lo: number): Program {
  const interrupts = cpu.interrupts(false);
  yield* queuedSpinLock(cpu, hi, lo + RtField.WaitLock);
  while (!cpu.load32(hi, lo + RtField.First, Order.Relaxed)) yield;
  const top = cpu.lo;
  notePassed(cpu, top === 0 ? RtBranch.unclaimed : RtBranch.woke);
  const word = top === 0 ? 0 : HAS_WAITERS;
  while (!cpu.store32(hi, lo + RtField.Owner, word, Order.Release)) yield;
  while (!queuedSpinUnlock(cpu, hi, lo + RtField.WaitLock)) yield;
  cpu.interrupts(interrupts);
  if (top !== 0) while (!cpu.wake(top - 1)) yield;
}

export const rtMutexSteps: RtMutexSteps = {
  priorityOf: (cpuId) => cpuId,
  takeFree: (cpu, hi, lo) => cpu.cas32(hi, lo + RtField.Owner, 0, rtTask(cpu.id), Order.Acquire),
  leaveFast: (cpu, hi, lo) => cpu.cas32(hi, lo + RtField.Owner, rtTask(cpu.id), 0, Order.Release),
  tryTake,
  insert: insertRtWaiter,
  boost: boostChain,
  leaveSlow,
};

/** rt_mutex_slowlock. */
function* slowPath(cpu: Cpu, hi: number, lo: number, steps: RtMutexSteps): Program {
  const taskHi = cpu.perCpuHi(cpu.id);
  while (!cpu.load32(taskHi, rtTaskLo(cpu, cpu.id) + RtTask.Boost, Order.Relaxed)) yield;
  const own = steps.priorityOf(cpu.id);
  const priority = cpu.lo === 0 ? own : Math.min(own, cpu.lo - 1);
  const interrupts = cpu.interrupts(false);
  yield* queuedSpinLock(cpu, hi, lo + RtField.WaitLock);
  yield* steps.tryTake(cpu, hi, lo, priority, false);
  let taken = cpu.ret === 1;
  if (taken) notePassed(cpu, RtBranch.second);
  if (!taken) {
    yield* setBlocked(cpu, hi, lo);
    yield* steps.insert(cpu, hi, lo, cpu.id, priority);
    yield* steps.boost(cpu, hi, lo, priority);
  }
  while (!taken) {
    cpu.interrupts(interrupts);
    yield* sleepUntilWoken(cpu);
    cpu.interrupts(false);
    yield* queuedSpinLock(cpu, hi, lo + RtField.WaitLock);
    yield* steps.tryTake(cpu, hi, lo, priority, true);
    taken = cpu.ret === 1;
    notePassed(cpu, taken ? RtBranch.slept : RtBranch.refused);
    if (!taken) while (!queuedSpinUnlock(cpu, hi, lo + RtField.WaitLock)) yield;
  }
  while (!queuedSpinUnlock(cpu, hi, lo + RtField.WaitLock)) yield;
  cpu.interrupts(interrupts);
}

export function makeRtMutex(steps: RtMutexSteps = rtMutexSteps): Lock {
  return {
    name: 'rtmutex',
    bytes: RT_MUTEX_BYTES,
    branches: [...Object.values(RtBranch), ...Object.values(BoostBranch)],

    *acquire(cpu, hi, lo) {
      while (!steps.takeFree(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) yield slowPath(cpu, hi, lo, steps);
      const held = rtTaskLo(cpu, cpu.id) + RtTask.Held;
      while (!cpu.add32(cpu.perCpuHi(cpu.id), held, 1, Order.Relaxed)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.leaveFast(cpu, hi, lo)) yield;
      if (!cpu.ok) yield steps.leaveSlow(cpu, hi, lo);
      const ownHi = cpu.perCpuHi(cpu.id);
      const task = rtTaskLo(cpu, cpu.id);
      while (!cpu.add32(ownHi, task + RtTask.Held, -1, Order.Relaxed)) yield;
      // Nobody can boost a task that owns nothing.
      if (cpu.lo === 1) while (!cpu.store32(ownHi, task + RtTask.Boost, 0, Order.Relaxed)) yield;
    },
  };
}
