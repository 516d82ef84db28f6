/**
 * percpu_rw_semaphore: readers count in a word of their own CPU as long as there is no writer; a
 * writer sends them through the slow path, waits a grace period, blocks them and waits until the
 * counts add up to nothing.
 * Source: kernel/locking/percpu-rwsem.c (v5.7 and later), kernel/rcu/sync.c (rcu_sync_enter).
 * Invariants: a reader counts itself without a look at `block` only in a section that began before
 * the first writer's grace period; in the slow path counting and looking at `block` have a full
 * barrier between them, as have blocking and adding up; so one sees the other.
 * Line transfers: 0 per read without writers; a write fetches two lines of every CPU, its word of
 * the grace period and its count. Each reader fetches both back with its next read, and the state.
 * Deviations: entry-section.ts; the counts lie behind each other on the lock's node, a line each;
 * readers may take the fast path again when the last writer leaves (its release and their acquire
 * stand for rcu_sync_exit's second grace period); a woken waiter tries again, where the kernel's
 * waker takes the lock for it; a reader always leaves as in the slow path.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { nodeOf, toLinear } from '../memory/physical-address.ts';
import { enterSection, leaveSection, waitForSections } from './entry-section.ts';
import type { ReadWriteLock } from './lock.ts';
import {
  lockBranch,
  noteAcquired,
  notePassed,
  noteReadAcquired,
  noteReadReleased,
  noteReleased,
} from './lock-events.ts';
import { setTaskState, sleepTask, storeTaskState, TaskState, wakeTask } from './task-state.ts';
import { makeWaitQueue, WAIT_QUEUE_BYTES } from './wait-queue.ts';

const Field = {
  /** Writers that hold or want the lock, and PASSED; 0: readers may take the fast path. */
  Writers: 0,
  /** 1 = readers of the slow path and other writers stay out. */
  Block: 4,
  /** CPU + 1 of the writer that sleeps until the counts are 0. */
  Sleeper: 8,
  /** Linear-map address of the counts. */
  Counts: 16,
  Waiters: 24,
} as const;
const COUNT_BYTES = 64;
/** Every reader uses the slow path: the grace period after the first writer's coming has ended. */
const PASSED = 0x80000000 | 0;

const waiters = makeWaitQueue();

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  fast: lockBranch('percpu-rwsem', 'reader counted without a look at the block', [2, 1]),
  slow: lockBranch('percpu-rwsem', 'reader took the slow path', [2, 1]),
  blocked: lockBranch('percpu-rwsem', 'reader found the block and counted itself out', [2, 1]),
  firstWriter: lockBranch('percpu-rwsem', 'writer sent readers around', [2, 1]),
  nextWriter: lockBranch(
    'percpu-rwsem',
    'writer waited for the grace period of another',
    [3, 1],
    [2, 2],
  ),
  blockedWriter: lockBranch('percpu-rwsem', 'writer waited for another to leave', [3, 1], [2, 2]),
  empty: lockBranch('percpu-rwsem', 'writer found nobody inside', [2, 1]),
  sleeps: lockBranch('percpu-rwsem', 'writer slept until readers had left', [2, 1]),
  woke: lockBranch('percpu-rwsem', 'reader woke the writer', [2, 1]),
} as const;

export interface PercpuSemaphoreSteps {
  /** Before and after the look at the writers and the count of the fast path. */
  enterSection(cpu: Cpu): Program;
  leaveSection(cpu: Cpu): Program;
  /** Counts, then looks at `block`; result in cpu.ret: 1 = inside. */
  trySlowRead(cpu: Cpu, hi: number, lo: number): Program;
  leaveReader(cpu: Cpu, hi: number, lo: number): Program;
  /** Until every reader has seen that there is a writer. */
  waitGracePeriod(cpu: Cpu): Program;
  /** Sleeps until nobody is counted. */
  waitReaders(cpu: Cpu, hi: number, lo: number): Program;
  leaveWriter(cpu: Cpu, hi: number, lo: number): Program;
}

/** this_cpu_add; result of the attempt as of any access. */
function* addToCount(cpu: Cpu, hi: number, lo: number, value: number, order: Order): Program {
  while (!cpu.load64(hi, lo + Field.Counts, Order.Relaxed)) yield;
  const countsHi = cpu.hi;
  const own = (cpu.lo + cpu.id * COUNT_BYTES) | 0;
  while (!cpu.add32(countsHi, own, value, order)) yield;
}

/** rcuwait_wake_up. */
function* wakeSleeper(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + Field.Sleeper, Order.Relaxed)) yield;
  if (cpu.lo === 0) return;
  notePassed(cpu, Passed.woke);
  yield* wakeTask(cpu, cpu.lo - 1);
}

/** Result in cpu.ret: 1 = no CPU has readers inside (readers_active_check). */
function* nobodyCounted(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load64(hi, lo + Field.Counts, Order.Relaxed)) yield;
  const countsHi = cpu.hi;
  const counts = cpu.lo;
  let sum = 0;
  for (let other = 0; other < cpu.cpuCount; other++) {
    while (!cpu.load32(countsHi, counts + other * COUNT_BYTES, Order.Acquire)) yield;
    sum += cpu.lo;
  }
  cpu.ret = sum === 0 ? 1 : 0;
}

export const percpuSemaphoreSteps: PercpuSemaphoreSteps = {
  enterSection,
  leaveSection,
  waitGracePeriod: waitForSections,

  *trySlowRead(cpu, hi, lo) {
    yield* addToCount(cpu, hi, lo, 1, Order.SequentiallyConsistent);
    while (!cpu.load32(hi, lo + Field.Block, Order.Acquire)) yield;
    const inside = cpu.lo === 0;
    if (!inside) {
      notePassed(cpu, Passed.blocked);
      yield* addToCount(cpu, hi, lo, -1, Order.SequentiallyConsistent);
      yield* wakeSleeper(cpu, hi, lo);
    }
    cpu.ret = inside ? 1 : 0;
  },

  *leaveReader(cpu, hi, lo) {
    yield* addToCount(cpu, hi, lo, -1, Order.SequentiallyConsistent);
    yield* wakeSleeper(cpu, hi, lo);
  },

  *waitReaders(cpu, hi, lo) {
    const sleeper = lo + Field.Sleeper;
    while (!cpu.swap32(hi, sleeper, cpu.id + 1, Order.SequentiallyConsistent)) yield;
    for (;;) {
      yield* setTaskState(cpu, TaskState.Sleeping);
      yield* nobodyCounted(cpu, hi, lo);
      notePassed(cpu, cpu.ret === 1 ? Passed.empty : Passed.sleeps);
      if (cpu.ret === 1) break;
      yield* sleepTask(cpu);
    }
    while (!storeTaskState(cpu, TaskState.Running)) yield;
    while (!cpu.store32(hi, sleeper, 0, Order.Relaxed)) yield;
  },

  *leaveWriter(cpu, hi, lo) {
    while (!cpu.store32(hi, lo + Field.Block, 0, Order.Release)) yield;
    yield* waiters.wakeUp(cpu, hi, lo + Field.Waiters, 1);
    let word = PASSED | 1;
    do {
      const others = (word & ~PASSED) - 1;
      const left = others === 0 ? 0 : others | PASSED;
      while (!cpu.cas32(hi, lo + Field.Writers, word, left, Order.Release)) yield;
      word = cpu.lo;
    } while (!cpu.ok);
  },
};

/** Result in cpu.ret: 1 = counted; 0 = there is a writer, and the slow path to take. */
function* tryFastRead(cpu: Cpu, hi: number, lo: number, steps: PercpuSemaphoreSteps): Program {
  const interrupts = cpu.interrupts(false);
  yield* steps.enterSection(cpu);
  while (!cpu.load32(hi, lo + Field.Writers, Order.Acquire)) yield;
  const isFast = cpu.lo === 0;
  notePassed(cpu, isFast ? Passed.fast : Passed.slow);
  if (isFast) yield* addToCount(cpu, hi, lo, 1, Order.Relaxed);
  yield* steps.leaveSection(cpu);
  cpu.interrupts(interrupts);
  cpu.ret = isFast ? 1 : 0;
}

/** rcu_sync_enter: the first writer waits for the grace period, the others for him. */
function* sendReadersAround(
  cpu: Cpu,
  hi: number,
  lo: number,
  steps: PercpuSemaphoreSteps,
): Program {
  const at = lo + Field.Writers;
  while (!cpu.add32(hi, at, 1, Order.SequentiallyConsistent)) yield;
  notePassed(cpu, cpu.lo === 0 ? Passed.firstWriter : Passed.nextWriter);
  if (cpu.lo !== 0) {
    while (!cpu.cond32(hi, at, Condition.AnyBitSet, PASSED, 0, Order.Acquire)) yield;
    return;
  }
  yield* steps.waitGracePeriod(cpu);
  while (!cpu.set32(hi, at, PASSED, Order.Release)) yield;
}

export function makePercpuSemaphore(
  steps: PercpuSemaphoreSteps = percpuSemaphoreSteps,
): ReadWriteLock {
  return {
    name: 'percpu-rwsem',
    bytes: Field.Waiters + WAIT_QUEUE_BYTES,
    branches: Object.values(Passed),

    init(boot, physical) {
      const bytes = boot.machine.cpuCount * COUNT_BYTES;
      const name = 'percpu_rw_semaphore.read_count';
      const counts = toLinear(boot.allocateNamed(name, nodeOf(physical.hi), bytes));
      boot.write64(physical, Field.Counts, counts.hi, counts.lo);
    },

    *acquire(cpu, hi, lo) {
      yield* sendReadersAround(cpu, hi, lo, steps);
      let waited = false;
      yield* waiters.waitUntil(cpu, hi, lo + Field.Waiters, true, function* (self) {
        while (!self.swap32(hi, lo + Field.Block, 1, Order.SequentiallyConsistent)) yield;
        const isMine = self.lo === 0;
        if (!isMine) {
          notePassed(self, Passed.blockedWriter);
          waited = true;
        }
        self.ret = isMine ? 1 : 0;
      });
      yield* steps.waitReaders(cpu, hi, lo);
      noteAcquired(cpu, hi, lo, waited);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      yield* steps.leaveWriter(cpu, hi, lo);
    },

    *acquireRead(cpu, hi, lo) {
      yield* tryFastRead(cpu, hi, lo, steps);
      const contended = cpu.ret === 0;
      if (contended) {
        const enter = (self: Cpu): Program => steps.trySlowRead(self, hi, lo);
        yield* waiters.waitUntil(cpu, hi, lo + Field.Waiters, false, enter);
      }
      noteReadAcquired(cpu, hi, lo, contended);
    },

    *releaseRead(cpu, hi, lo) {
      noteReadReleased(cpu, hi, lo);
      yield* steps.leaveReader(cpu, hi, lo);
    },
  };
}
