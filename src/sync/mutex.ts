/**
 * The kernel's mutex: an owner word with flags, optimistic spinning behind an MCS queue, a FIFO
 * list of sleepers, and hand-off to a first waiter that was robbed.
 * Source: kernel/locking/mutex.c (v5.10 and later): __mutex_lock_common, __mutex_trylock_common,
 * mutex_optimistic_spin, __mutex_unlock_slowpath, __mutex_handoff.
 * Invariants: only the owner, or whom PICKUP names, has its number in the owner word; WAITERS is
 * set while anybody is on the list, so that the owner's fast release fails; a waiter looks at the
 * owner word between joining the list and going to sleep.
 * Line transfers per hand-over among spinners, 9 to 10: the mutex, whose owner word and spin queue
 * share a line, to the releaser, to the spinner that sees it free, to the next head of the queue
 * and to whoever arrives, after whose two atomics the head looks once or twice; two nodes of the
 * spin queue there and back. With sleepers the wait list, and the wake-up. Deviations:
 * mutex-layout.ts names some; a spinner gives up when its time slice is over (need_resched), but an
 * owner counts as running even while it sleeps for something else.
 */

import { PS_PER_MS } from '../base/units.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import {
  type LockBranch,
  lockBranch,
  noteAcquired,
  notePassed,
  noteReleased,
} from './lock-events.ts';
import {
  addMutexWaiter,
  isHandedTo,
  MUTEX_BYTES,
  MUTEX_FLAGS,
  MUTEX_HANDOFF,
  MUTEX_PICKUP,
  MUTEX_WAITERS,
  MutexField,
  mutexTask,
  removeMutexWaiter,
} from './mutex-layout.ts';
import { lockSpinQueue, unlockSpinQueue } from './optimistic-spin-queue.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import { sleepUntilWoken } from './sleep.ts';

/** sysctl_sched_base_slice. */
const TIME_SLICE_PS = 3 * PS_PER_MS;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  second: lockBranch('mutex', 'free on the second look', [2, 1]),
  spun: lockBranch('mutex', 'optimistic spin won', [2, 1]),
  gaveUp: lockBranch('mutex', 'gave up spinning: time slice over', [2, 1]),
  lastLook: lockBranch('mutex', 'free with wait_lock held', [2, 1]),
  beforeSleep: lockBranch('mutex', 'free before it slept', [2, 1]),
  slept: lockBranch('mutex', 'slept until woken', [2, 1]),
  robbed: lockBranch('mutex', 'woken and robbed', [3, 1], [2, 2]),
  asked: lockBranch('mutex', 'asked for a hand-off', [3, 1], [2, 2]),
  pickedUp: lockBranch('mutex', 'took what was handed to it', [3, 1], [2, 2]),
  spunFirst: lockBranch('mutex', 'first waiter won by spinning', [3, 1], [2, 2]),
  woke: lockBranch('mutex', 'released and woke', [2, 1]),
  handed: lockBranch('mutex', 'handed over to the first waiter', [3, 1], [2, 2]),
} as const;
const SPINNING: ReadonlySet<LockBranch> = new Set([Passed.spun, Passed.gaveUp, Passed.spunFirst]);

/** The tasks that lock: one per CPU that always runs and never exits, unless somebody says so. */
export interface MutexTasks {
  /** Owner word's task part (mutexTask) of the task that runs on this CPU. */
  current(cpu: Cpu): number;
  /**
   * One look of a spinner at the structure of the owner that `word` names (mutex_spin_on_owner);
   * result in cpu.ret: 0 = it does not run, so spinning is in vain. null: it always runs.
   */
  ownerRuns: ((cpu: Cpu, hi: number, lo: number, word: number) => Program) | null;
}

export const taskPerCpu: MutexTasks = { current: (cpu) => mutexTask(cpu.id), ownerRuns: null };

/** Steps that are no programs are one attempt each. */
export interface MutexSteps {
  readonly tasks: MutexTasks;
  /** Result in cpu.ok, and in cpu.lo the owner word before. */
  takeFree(cpu: Cpu, hi: number, lo: number): boolean;
  /** Result in cpu.ok: nobody waited, and the lock is free. */
  leaveFast(cpu: Cpu, hi: number, lo: number): boolean;
  /** Result in cpu.ret: 1 = the lock is ours. null: never spin. */
  spin: ((cpu: Cpu, hi: number, lo: number) => Program) | null;
  /** On the list already: looks once more before going to sleep; result in cpu.ret: 1 = ours. */
  tryBeforeSleep(cpu: Cpu, hi: number, lo: number): Program;
  /** After a wake-up: takes the lock, or asks for it if `first`; result in cpu.ret: 1 = ours. */
  tryAfterSleep(cpu: Cpu, hi: number, lo: number, first: boolean): Program;
  /** Somebody waits, or has asked for a hand-off: releases and wakes. */
  leaveSlow(cpu: Cpu, hi: number, lo: number): Program;
}

/** __mutex_trylock_common; result in cpu.ret: 1 = ours, cpu.lo = the owner word before. */
export function* tryMutex(cpu: Cpu, hi: number, lo: number, asks: boolean, self: number): Program {
  while (!cpu.load32(hi, lo + MutexField.Owner, Order.Relaxed)) yield;
  cpu.ret = 0;
  for (;;) {
    const word = cpu.lo;
    const task = word & ~MUTEX_FLAGS;
    let fresh = word;
    if (task === 0) fresh = self | word;
    else if ((word & MUTEX_PICKUP) !== 0) {
      if (!isHandedTo(task, self)) return;
      fresh = self | (word & MUTEX_FLAGS & ~MUTEX_PICKUP);
    } else if (!asks || (word & MUTEX_HANDOFF) !== 0) return;
    else fresh = word | MUTEX_HANDOFF;
    while (!cpu.cas32(hi, lo + MutexField.Owner, word, fresh, Order.Acquire)) yield;
    if (!cpu.ok) continue;
    if (task !== 0) notePassed(cpu, isHandedTo(task, self) ? Passed.pickedUp : Passed.asked);
    cpu.ret = (fresh & ~MUTEX_FLAGS) === self ? 1 : 0;
    return;
  }
}

/** The loop of mutex_optimistic_spin; result in cpu.ret: 1 = ours, 0 = the time slice is over. */
function* spinOnOwner(cpu: Cpu, hi: number, lo: number, tasks: MutexTasks): Program {
  const deadline = cpu.deadline(TIME_SLICE_PS);
  const at = lo + MutexField.Owner;
  for (;;) {
    yield* tryMutex(cpu, hi, lo, false, tasks.current(cpu));
    if (cpu.ret === 1) return;
    const owner = cpu.lo;
    // Whoever has been given the lock has still to pick it up: he is about to run.
    if (tasks.ownerRuns !== null && (owner & MUTEX_PICKUP) === 0) {
      yield* tasks.ownerRuns(cpu, hi, lo, owner);
      if (cpu.ret === 0) return;
      cpu.ret = 0;
    }
    while (!cpu.cond32Until(hi, at, Condition.NotEqual, -1, owner, deadline, Order.Relaxed)) yield;
    if (!cpu.ok) return;
  }
}

/** mutex_optimistic_spin of a CPU that isn't on the list. */
export function* spinForMutex(
  cpu: Cpu,
  hi: number,
  lo: number,
  tasks: MutexTasks = taskPerCpu,
): Program {
  yield* lockSpinQueue(cpu, hi, lo + MutexField.SpinQueue);
  yield* spinOnOwner(cpu, hi, lo, tasks);
  const taken = cpu.ret;
  yield* unlockSpinQueue(cpu, hi, lo + MutexField.SpinQueue);
  cpu.ret = taken;
}

/** Clears the owner, or gives the lock to the first waiter; result in cpu.lo: the word before. */
export function* clearMutexOwner(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + MutexField.Owner, Order.Relaxed)) yield;
  for (;;) {
    const word = cpu.lo;
    if ((word & MUTEX_HANDOFF) !== 0) return;
    const flags = word & MUTEX_FLAGS;
    while (!cpu.cas32(hi, lo + MutexField.Owner, word, flags, Order.Release)) yield;
    if (cpu.ok) return;
  }
}

/** Wakes the first waiter; `word`, the owner word, says whether it gets the lock as well. */
export function* wakeMutexWaiter(cpu: Cpu, hi: number, lo: number, word: number): Program {
  yield* queuedSpinLock(cpu, hi, lo + MutexField.WaitLock);
  while (!cpu.load32(hi, lo + MutexField.First, Order.Relaxed)) yield;
  const first = cpu.lo;
  notePassed(cpu, (word & MUTEX_HANDOFF) !== 0 ? Passed.handed : Passed.woke);
  if ((word & MUTEX_HANDOFF) !== 0) yield* handOff(cpu, hi, lo, first);
  while (!queuedSpinUnlock(cpu, hi, lo + MutexField.WaitLock)) yield;
  if (first !== 0) while (!cpu.wake(first - 1)) yield;
}

/** __mutex_handoff. */
function* handOff(cpu: Cpu, hi: number, lo: number, first: number): Program {
  while (!cpu.load32(hi, lo + MutexField.Owner, Order.Relaxed)) yield;
  do {
    const word = cpu.lo;
    let fresh = word & MUTEX_WAITERS;
    if (first !== 0) fresh |= mutexTask(first - 1) | MUTEX_PICKUP;
    while (!cpu.cas32(hi, lo + MutexField.Owner, word, fresh, Order.Release)) yield;
  } while (!cpu.ok);
}

export function mutexStepsOf(tasks: MutexTasks): MutexSteps {
  return {
    tasks,

    takeFree: (cpu, hi, lo) =>
      cpu.cas32(hi, lo + MutexField.Owner, 0, tasks.current(cpu), Order.Acquire),

    leaveFast: (cpu, hi, lo) =>
      cpu.cas32(hi, lo + MutexField.Owner, tasks.current(cpu), 0, Order.Release),

    spin: (cpu, hi, lo) => spinForMutex(cpu, hi, lo, tasks),

    tryBeforeSleep: (cpu, hi, lo) => tryMutex(cpu, hi, lo, false, tasks.current(cpu)),

    tryAfterSleep: (cpu, hi, lo, first) => tryMutex(cpu, hi, lo, first, tasks.current(cpu)),

    *leaveSlow(cpu, hi, lo) {
      yield* clearMutexOwner(cpu, hi, lo);
      const word = cpu.lo;
      if ((word & (MUTEX_WAITERS | MUTEX_HANDOFF)) === 0) return;
      yield* wakeMutexWaiter(cpu, hi, lo, word);
    },
  };
}

export const mutexSteps: MutexSteps = mutexStepsOf(taskPerCpu);

/** No optimistic spinning (CONFIG_MUTEX_SPIN_ON_OWNER=n). */
export const sleepingMutexSteps: MutexSteps = { ...mutexSteps, spin: null };

/** __mutex_lock_common after the fast path failed. */
function* slowPath(cpu: Cpu, hi: number, lo: number, steps: MutexSteps): Program {
  yield* tryMutex(cpu, hi, lo, false, steps.tasks.current(cpu));
  if (cpu.ret === 1) {
    notePassed(cpu, Passed.second);
    return;
  }
  if (steps.spin !== null) {
    yield* steps.spin(cpu, hi, lo);
    notePassed(cpu, cpu.ret === 1 ? Passed.spun : Passed.gaveUp);
    if (cpu.ret === 1) return;
  }
  yield* queuedSpinLock(cpu, hi, lo + MutexField.WaitLock);
  yield* tryMutex(cpu, hi, lo, false, steps.tasks.current(cpu));
  if (cpu.ret === 1) notePassed(cpu, Passed.lastLook);
  if (cpu.ret === 0) yield* waitOnList(cpu, hi, lo, steps);
  while (!queuedSpinUnlock(cpu, hi, lo + MutexField.WaitLock)) yield;
}

/** Sleeps until the lock is ours; wait_lock is held on entry and at the end. */
function* waitOnList(cpu: Cpu, hi: number, lo: number, steps: MutexSteps): Program {
  yield* addMutexWaiter(cpu, hi, lo);
  if (cpu.ret === 1) {
    while (!cpu.set32(hi, lo + MutexField.Owner, MUTEX_WAITERS, Order.Relaxed)) yield;
  }
  for (;;) {
    yield* steps.tryBeforeSleep(cpu, hi, lo);
    if (cpu.ret === 1) {
      notePassed(cpu, Passed.beforeSleep);
      break;
    }
    while (!queuedSpinUnlock(cpu, hi, lo + MutexField.WaitLock)) yield;
    yield* sleepUntilWoken(cpu);
    while (!cpu.load32(hi, lo + MutexField.First, Order.Relaxed)) yield;
    const first = cpu.lo === cpu.id + 1;
    yield* steps.tryAfterSleep(cpu, hi, lo, first);
    notePassed(cpu, cpu.ret === 1 ? Passed.slept : Passed.robbed);
    const spins = cpu.ret === 0 && first && steps.spin !== null;
    if (spins) yield* spinOnOwner(cpu, hi, lo, steps.tasks);
    const taken = cpu.ret === 1;
    if (spins && taken) notePassed(cpu, Passed.spunFirst);
    yield* queuedSpinLock(cpu, hi, lo + MutexField.WaitLock);
    if (taken) break;
  }
  yield* removeMutexWaiter(cpu, hi, lo);
  if (cpu.ret === 0) return;
  while (!cpu.clear32(hi, lo + MutexField.Owner, MUTEX_FLAGS, Order.Relaxed)) yield;
}

export function makeMutex(steps: MutexSteps = mutexSteps, name = 'mutex'): Lock {
  return {
    name,
    bytes: MUTEX_BYTES,
    branches: Object.values(Passed).filter(
      (branch) => steps.spin !== null || !SPINNING.has(branch),
    ),

    *acquire(cpu, hi, lo) {
      while (!steps.takeFree(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) yield slowPath(cpu, hi, lo, steps);
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.leaveFast(cpu, hi, lo)) yield;
      if (!cpu.ok) yield steps.leaveSlow(cpu, hi, lo);
    },
  };
}
