/**
 * Wait queue: tasks that sleep until a condition holds, and who wakes them.
 * Source: kernel/sched/wait.c (prepare_to_wait, prepare_to_wait_exclusive, finish_wait,
 * __wake_up_common, autoremove_wake_function), include/linux/wait.h (___wait_event,
 * wq_has_sleeper).
 * Invariants: the list changes under its spinlock only; a waiter is on the list, and has set its
 * state, before it looks at the condition for the last time; whoever makes the condition true wakes
 * afterwards. So one of the two sees the other.
 * Line transfers per wait: 3 to 4 for the spinlock, 2 for the entry, 2 for the task's state.
 * Deviation: one entry per CPU, in the CPU's area: a task waits on one queue at a time.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Fence, Order } from '../cpu/operations.ts';
import { PerCpu } from '../cpu/per-cpu.ts';
import { nodeLo } from './lock-nodes.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import { setTaskState, sleepTask, storeTaskState, TaskState, wakeTask } from './task-state.ts';

/** Offsets in the queue's head: spinlock, then first and last waiter: CPU + 1, 0 = none. */
const Head = { Lock: 0, First: 4, Last: 8 } as const;
export const WAIT_QUEUE_BYTES = 12;
/** Offsets in an entry, the first line of PerCpu.Task. */
const Entry = { Next: 0, Previous: 4, Exclusive: 8, Queued: 12 } as const;

/** Looks at the condition; result in cpu.ret: 1 = it holds. Must not sleep. */
export type WaitCondition = (cpu: Cpu) => Program;

export interface WaitQueue {
  readonly bytes: number;
  /** On the list (behind the others if exclusive) and about to sleep. */
  prepareToWait(cpu: Cpu, hi: number, lo: number, exclusive: boolean): Program;
  /** Sleeps unless woken since prepareToWait. */
  sleep(cpu: Cpu): Program;
  /** Off the list and running. */
  finishWait(cpu: Cpu, hi: number, lo: number): Program;
  /** wait_event: returns when the condition has been seen to hold. */
  waitUntil(
    cpu: Cpu,
    hi: number,
    lo: number,
    exclusive: boolean,
    condition: WaitCondition,
  ): Program;
  /** Wakes all who aren't exclusive and up to `exclusives` of the others; 0 = everybody. */
  wakeUp(cpu: Cpu, hi: number, lo: number, exclusives: number): Program;
  /** wakeUp if somebody waits, found out without the lock (wq_has_sleeper). */
  wakeUpIfAny(cpu: Cpu, hi: number, lo: number, exclusives: number): Program;
}

export interface WaitQueueSteps {
  /** The state, then a full barrier, which wakeUpIfAny and wakers without a queue rely on. */
  setState(cpu: Cpu, state: TaskState): Program;
  /** One attempt: the condition is true for everybody before wakeUpIfAny looks for waiters. */
  wakeFence(cpu: Cpu): boolean;
  sleep(cpu: Cpu): Program;
  /** Queue, look, sleep: in this order, and again. */
  waitUntil(
    queue: WaitQueue,
    cpu: Cpu,
    hi: number,
    lo: number,
    exclusive: boolean,
    condition: WaitCondition,
  ): Program;
  /** Result in cpu.ret: 1 = the task was asleep, or about to be. */
  wakeTask(cpu: Cpu, target: number): Program;
  /** With the queue locked: whom to wake. */
  wakeList(cpu: Cpu, hi: number, lo: number, exclusives: number, steps: WaitQueueSteps): Program;
}

function entryLo(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, PerCpu.Task);
}

/** Links this CPU's entry in front (everybody is woken) or behind (exclusive). */
function* link(cpu: Cpu, hi: number, lo: number, exclusive: boolean): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const own = entryLo(cpu, cpu.id);
  const end = exclusive ? Head.Last : Head.First;
  while (!cpu.load32(hi, lo + end, Order.Relaxed)) yield;
  const neighbour = cpu.lo;
  const [next, previous] = exclusive ? [0, neighbour] : [neighbour, 0];
  while (!cpu.store64(ownHi, own + Entry.Next, previous, next, Order.Relaxed)) yield;
  while (!cpu.store64(ownHi, own + Entry.Exclusive, 1, exclusive ? 1 : 0, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + end, cpu.id + 1, Order.Relaxed)) yield;
  if (neighbour === 0) {
    const other = exclusive ? Head.First : Head.Last;
    while (!cpu.store32(hi, lo + other, cpu.id + 1, Order.Relaxed)) yield;
    return;
  }
  const at = entryLo(cpu, neighbour - 1) + (exclusive ? Entry.Next : Entry.Previous);
  while (!cpu.store32(cpu.perCpuHi(neighbour - 1), at, cpu.id + 1, Order.Relaxed)) yield;
}

/** list_del_init of the entry of CPU `of`; the entry is its owner's again with the last store. */
function* unlink(cpu: Cpu, hi: number, lo: number, of: number): Program {
  const ofHi = cpu.perCpuHi(of);
  const entry = entryLo(cpu, of);
  while (!cpu.load64(ofHi, entry + Entry.Next, Order.Relaxed)) yield;
  const next = cpu.lo;
  const previous = cpu.hi;
  const aheadHi = previous === 0 ? hi : cpu.perCpuHi(previous - 1);
  const ahead = previous === 0 ? lo + Head.First : entryLo(cpu, previous - 1) + Entry.Next;
  while (!cpu.store32(aheadHi, ahead, next, Order.Relaxed)) yield;
  const behindHi = next === 0 ? hi : cpu.perCpuHi(next - 1);
  const behind = next === 0 ? lo + Head.Last : entryLo(cpu, next - 1) + Entry.Previous;
  while (!cpu.store32(behindHi, behind, previous, Order.Relaxed)) yield;
  while (!cpu.store32(ofHi, entry + Entry.Queued, 0, Order.Release)) yield;
}

export const waitQueueSteps: WaitQueueSteps = {
  setState: setTaskState,
  wakeFence: (cpu) => cpu.fence(Fence.DmbIsh),
  sleep: sleepTask,
  wakeTask,

  *waitUntil(queue, cpu, hi, lo, exclusive, condition) {
    yield* condition(cpu);
    if (cpu.ret === 1) return;
    for (;;) {
      yield* queue.prepareToWait(cpu, hi, lo, exclusive);
      yield* condition(cpu);
      if (cpu.ret === 1) break;
      yield* queue.sleep(cpu);
    }
    yield* queue.finishWait(cpu, hi, lo);
  },

  *wakeList(cpu, hi, lo, exclusives, steps) {
    let left = exclusives;
    while (!cpu.load32(hi, lo + Head.First, Order.Relaxed)) yield;
    let at = cpu.lo - 1;
    while (at >= 0) {
      const atHi = cpu.perCpuHi(at);
      const entry = entryLo(cpu, at);
      while (!cpu.load32(atHi, entry + Entry.Next, Order.Relaxed)) yield;
      const next = cpu.lo - 1;
      while (!cpu.load32(atHi, entry + Entry.Exclusive, Order.Relaxed)) yield;
      const exclusive = cpu.lo === 1;
      yield* steps.wakeTask(cpu, at);
      if (cpu.ret === 1) {
        yield* unlink(cpu, hi, lo, at);
        if (exclusive && --left === 0) return;
      }
      at = next;
    }
  },
};

export function makeWaitQueue(steps: WaitQueueSteps = waitQueueSteps): WaitQueue {
  const queue: WaitQueue = {
    bytes: WAIT_QUEUE_BYTES,

    *prepareToWait(cpu, hi, lo, exclusive) {
      const interrupts = cpu.interrupts(false);
      yield* queuedSpinLock(cpu, hi, lo + Head.Lock);
      const queued = entryLo(cpu, cpu.id) + Entry.Queued;
      while (!cpu.load32(cpu.perCpuHi(cpu.id), queued, Order.Relaxed)) yield;
      if (cpu.lo === 0) yield* link(cpu, hi, lo, exclusive);
      yield* steps.setState(cpu, TaskState.Sleeping);
      while (!queuedSpinUnlock(cpu, hi, lo + Head.Lock)) yield;
      cpu.interrupts(interrupts);
    },

    sleep: (cpu) => steps.sleep(cpu),

    *finishWait(cpu, hi, lo) {
      while (!storeTaskState(cpu, TaskState.Running)) yield;
      const queued = entryLo(cpu, cpu.id) + Entry.Queued;
      // list_empty_careful: a waker may have taken the entry off, and is done with it then.
      while (!cpu.load32(cpu.perCpuHi(cpu.id), queued, Order.Acquire)) yield;
      if (cpu.lo === 0) return;
      const interrupts = cpu.interrupts(false);
      yield* queuedSpinLock(cpu, hi, lo + Head.Lock);
      while (!cpu.load32(cpu.perCpuHi(cpu.id), queued, Order.Relaxed)) yield;
      if (cpu.lo !== 0) yield* unlink(cpu, hi, lo, cpu.id);
      while (!queuedSpinUnlock(cpu, hi, lo + Head.Lock)) yield;
      cpu.interrupts(interrupts);
    },

    waitUntil: (cpu, hi, lo, exclusive, condition) =>
      steps.waitUntil(queue, cpu, hi, lo, exclusive, condition),

    *wakeUp(cpu, hi, lo, exclusives) {
      const interrupts = cpu.interrupts(false);
      yield* queuedSpinLock(cpu, hi, lo + Head.Lock);
      yield* steps.wakeList(cpu, hi, lo, exclusives, steps);
      while (!queuedSpinUnlock(cpu, hi, lo + Head.Lock)) yield;
      cpu.interrupts(interrupts);
    },

    *wakeUpIfAny(cpu, hi, lo, exclusives) {
      while (!steps.wakeFence(cpu)) yield;
      while (!cpu.load32(hi, lo + Head.First, Order.Relaxed)) yield;
      if (cpu.lo !== 0) yield* queue.wakeUp(cpu, hi, lo, exclusives);
    },
  };
  return queue;
}
