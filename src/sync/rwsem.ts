/**
 * rw_semaphore, the kernel's sleeping reader-writer lock (mm->mmap_lock): one atomic on the fast
 * path, a FIFO list of sleepers behind it, stealing, hand-off and optimistic spinning.
 * Source: kernel/locking/rwsem.c (v5.10 and later): rwsem_down_read_slowpath,
 * rwsem_down_write_slowpath, rwsem_try_write_lock, rwsem_wake, __downgrade_write.
 * Invariants: WRITER_LOCKED and readers never together once granted; WAITERS is set while anybody
 * sleeps; with HANDOFF set, nobody but the first waiter takes the lock.
 * Line transfers per hand-over: readers 2 (count and owner share a line, and are written one right
 * after the other on the way in: one move; the count on the way out another); sleepers 6 and more,
 * and the wake-up.
 * Deviations: rwsem-layout.ts, rwsem-waiters.ts and rwsem-spin.ts name theirs.
 */

import { PS_PER_MS } from '../base/units.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { Cost } from '../machine/costs.ts';
import type { ReadWriteLock } from './lock.ts';
import {
  type LockBranch,
  lockBranch,
  noteAcquired,
  notePassed,
  noteReadAcquired,
  noteReadReleased,
  noteReleased,
  noteTried,
} from './lock-events.ts';
import { queuedSpinLock, queuedSpinUnlock } from './qspinlock.ts';
import {
  HANDOFF,
  LOCK_MASK,
  READ_FAILED,
  READER,
  READER_OWNED,
  SEMAPHORE_BYTES,
  Semaphore,
  WAITERS,
  Waiter,
  WRITER_LOCKED,
  waiterHi,
  waiterLo,
} from './rwsem-layout.ts';
import { setWriterOwned, spinForWrite, spinOnWriter } from './rwsem-spin.ts';
import {
  addWaiter,
  clearNonSpinnable,
  markWake,
  readerOwner,
  removeWaiter,
  setReaderOwned,
  Wake,
  WakeBranch,
  wakeIfPossible,
} from './rwsem-waiters.ts';

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  readerStole: lockBranch('rwsem', 'reader stole it on the slow path', [4, 1], [2, 2]),
  readerWoke: lockBranch('rwsem', 'first reader woke those that wait', [4, 1], [2, 2]),
  readerLate: lockBranch('rwsem', 'reader found the writer gone', [2, 1]),
  readerSlept: lockBranch('rwsem', 'reader slept until granted', [2, 1]),
  spun: lockBranch('rwsem', 'writer stole it by spinning', [2, 1]),
  gaveUp: lockBranch('rwsem', 'writer gave up spinning', [2, 1]),
  writerSlept: lockBranch('rwsem', 'writer slept', [2, 1]),
  fromList: lockBranch('rwsem', 'writer took it from the list', [2, 1]),
  asked: lockBranch('rwsem', 'writer asked for a hand-off', [2, 1]),
  respected: lockBranch('rwsem', 'waiter kept out by a hand-off', [3, 1]),
  spunFirst: lockBranch('rwsem', 'writer spun after it asked for a hand-off', [2, 1]),
  woke: lockBranch('rwsem', 'released and woke', [2, 1]),
  readerWakes: lockBranch('rwsem', 'last reader woke a writer', [2, 1]),
} as const;
const SPINNING: ReadonlySet<LockBranch> = new Set([Passed.spun, Passed.gaveUp]);

/** RWSEM_WAIT_TIMEOUT: a writer that has waited longer asks for a hand-off. */
const WAIT_TIMEOUT_PS = 4 * PS_PER_MS;

export interface RwsemSteps {
  /** One attempt each; result in cpu.lo: the count before. */
  enterReader(cpu: Cpu, hi: number, lo: number): boolean;
  leaveReader(cpu: Cpu, hi: number, lo: number): boolean;
  leaveWriter(cpu: Cpu, hi: number, lo: number): boolean;
  /**
   * Spins and steals before sleeping; result in cpu.ret: 1 = the write lock is ours. null:
   * never.
   */
  spin: ((cpu: Cpu, hi: number, lo: number) => Program) | null;
  /** Sleeps until a waker has granted the lock to this reader. */
  sleepReader(cpu: Cpu): Program;
  /** With wait_lock held; result in cpu.ret: 1 = the write lock is ours and we are off the list. */
  tryFromList(cpu: Cpu, hi: number, lo: number, deadline: number): Program;
}

export const rwsemSteps: RwsemSteps = {
  enterReader: (cpu, hi, lo) => cpu.add32(hi, lo + Semaphore.Count, READER, Order.Acquire),

  leaveReader: (cpu, hi, lo) => cpu.add32(hi, lo + Semaphore.Count, -READER, Order.Release),

  leaveWriter: (cpu, hi, lo) => cpu.add32(hi, lo + Semaphore.Count, -WRITER_LOCKED, Order.Release),

  spin: (cpu, hi, lo) => spinForWrite(cpu, hi, lo),

  *sleepReader(cpu) {
    const ownHi = waiterHi(cpu, cpu.id);
    const waiting = waiterLo(cpu, cpu.id) + Waiter.Waiting;
    for (;;) {
      while (!cpu.load32(ownHi, waiting, Order.Acquire)) yield;
      if (cpu.lo === 0) return;
      yield* sleep(cpu);
    }
  },

  tryFromList: tryWriteFromList,
};

/** No optimistic spinning (CONFIG_RWSEM_SPIN_ON_OWNER=n). */
export const sleepingRwsemSteps: RwsemSteps = { ...rwsemSteps, spin: null };

/** The task leaves the CPU and comes back after a wake-up. */
function* sleep(cpu: Cpu): Program {
  cpu.spend(Cost.ContextSwitch);
  while (!cpu.idle()) yield;
  cpu.spend(Cost.TaskWake);
}

function* wakeAll(cpu: Cpu, woken: readonly number[]): Program {
  for (const target of woken) {
    while (!cpu.wake(target)) yield;
  }
}

/** raw_spin_lock_irq. */
function* lockList(cpu: Cpu, hi: number, lo: number): Program {
  cpu.interrupts(false);
  yield* queuedSpinLock(cpu, hi, lo + Semaphore.WaitLock);
}

function* unlockList(cpu: Cpu, hi: number, lo: number, interrupts: boolean): Program {
  while (!queuedSpinUnlock(cpu, hi, lo + Semaphore.WaitLock)) yield;
  cpu.interrupts(interrupts);
}

/** rwsem_wake. */
function* wakeWaiters(cpu: Cpu, hi: number, lo: number, kind: Wake): Program {
  const interrupts = cpu.interrupts(false);
  const woken: number[] = [];
  yield* lockList(cpu, hi, lo);
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  if (cpu.lo !== 0) yield* markWake(cpu, hi, lo, kind, woken);
  yield* unlockList(cpu, hi, lo, interrupts);
  yield* wakeAll(cpu, woken);
}

/** rwsem_down_read_slowpath; `count` as the failed fast path left it. */
function* readSlowPath(
  cpu: Cpu,
  hi: number,
  lo: number,
  count: number,
  steps: RwsemSteps,
): Program {
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  const readers = count >>> 8;
  const ownedByReaders =
    (cpu.lo & READER_OWNED) !== 0 && readers > 1 && (count & WRITER_LOCKED) === 0;
  if (!ownedByReaders && (count & (WRITER_LOCKED | HANDOFF)) === 0) {
    notePassed(cpu, Passed.readerStole);
    yield* setReaderOwned(cpu, hi, lo, cpu.id);
    if (readers === 1 && (count & WAITERS) !== 0) {
      notePassed(cpu, Passed.readerWoke);
      yield* wakeWaiters(cpu, hi, lo, Wake.ReadOwned);
    }
    return;
  }
  const interrupts = cpu.interrupts(false);
  yield* lockList(cpu, hi, lo);
  let adjustment = -READER;
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  if (cpu.lo === 0) {
    while (!cpu.load32(hi, lo + Semaphore.Count, Order.Acquire)) yield;
    if ((cpu.lo & WRITER_LOCKED) === 0) {
      notePassed(cpu, Passed.readerLate);
      yield* unlockList(cpu, hi, lo, interrupts);
      yield* setReaderOwned(cpu, hi, lo, cpu.id);
      return;
    }
    adjustment += WAITERS;
  }
  yield* addWaiter(cpu, hi, lo, false);
  while (!cpu.add32(hi, lo + Semaphore.Count, adjustment, Order.Relaxed)) yield;
  const woken: number[] = [];
  yield* wakeIfPossible(cpu, hi, lo, (cpu.lo + adjustment) | 0, woken);
  yield* unlockList(cpu, hi, lo, interrupts);
  yield* wakeAll(cpu, woken);
  notePassed(cpu, Passed.readerSlept);
  yield* steps.sleepReader(cpu);
}

/** rwsem_try_write_lock. */
function* tryWriteFromList(cpu: Cpu, hi: number, lo: number, deadline: number): Program {
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  const first = cpu.lo - 1;
  while (!cpu.load32(waiterHi(cpu, first), waiterLo(cpu, first) + Waiter.Handoff, Order.Relaxed))
    yield;
  const firstAsked = cpu.lo !== 0;
  while (!cpu.load32(waiterHi(cpu, cpu.id), waiterLo(cpu, cpu.id), Order.Relaxed)) yield;
  const isLast = cpu.lo === 0;
  while (!cpu.load32(hi, lo + Semaphore.Count, Order.Relaxed)) yield;
  let count = cpu.lo;
  let fresh = 0;
  cpu.ret = 0;
  do {
    const handoff = (count & HANDOFF) !== 0;
    if (handoff && firstAsked && first !== cpu.id) {
      notePassed(cpu, Passed.respected);
      return;
    }
    if ((count & LOCK_MASK) !== 0) {
      if (handoff || !cpu.expired(deadline)) return;
      fresh = count | HANDOFF;
    } else {
      fresh = (count | WRITER_LOCKED) & ~HANDOFF;
      if (isLast && first === cpu.id) fresh &= ~WAITERS;
    }
    while (!cpu.cas32(hi, lo + Semaphore.Count, count, fresh, Order.Acquire)) yield;
    count = cpu.lo;
  } while (!cpu.ok);
  if ((fresh & HANDOFF) !== 0) {
    notePassed(cpu, Passed.asked);
    const at = waiterLo(cpu, first) + Waiter.Handoff;
    while (!cpu.store32(waiterHi(cpu, first), at, 1, Order.Relaxed)) yield;
    return;
  }
  notePassed(cpu, Passed.fromList);
  yield* removeWaiter(cpu, hi, lo, cpu.id);
  while (!setWriterOwned(cpu, hi, lo)) yield;
  cpu.ret = 1;
}

/** rwsem_down_write_slowpath. */
function* writeSlowPath(cpu: Cpu, hi: number, lo: number, steps: RwsemSteps): Program {
  if (steps.spin !== null) {
    yield* steps.spin(cpu, hi, lo);
    notePassed(cpu, cpu.ret === 1 ? Passed.spun : Passed.gaveUp);
    if (cpu.ret === 1) return;
  }
  const interrupts = cpu.interrupts(false);
  const deadline = cpu.deadline(WAIT_TIMEOUT_PS);
  yield* lockList(cpu, hi, lo);
  yield* addWaiter(cpu, hi, lo, true);
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  if (cpu.lo === cpu.id + 1) {
    while (!cpu.set32(hi, lo + Semaphore.Count, WAITERS, Order.Relaxed)) yield;
  } else {
    while (!cpu.load32(hi, lo + Semaphore.Count, Order.Relaxed)) yield;
    const woken: number[] = [];
    yield* wakeIfPossible(cpu, hi, lo, cpu.lo, woken);
    if (woken.length > 0) {
      yield* unlockList(cpu, hi, lo, interrupts);
      yield* wakeAll(cpu, woken);
      yield* lockList(cpu, hi, lo);
    }
  }
  yield* waitForWrite(cpu, hi, lo, deadline, interrupts, steps);
}

/** The waiting loop, with wait_lock held on entry. */
function* waitForWrite(
  cpu: Cpu,
  hi: number,
  lo: number,
  deadline: number,
  interrupts: boolean,
  steps: RwsemSteps,
): Program {
  const asked = waiterLo(cpu, cpu.id) + Waiter.Handoff;
  for (;;) {
    yield* steps.tryFromList(cpu, hi, lo, deadline);
    const taken = cpu.ret === 1;
    yield* unlockList(cpu, hi, lo, interrupts);
    if (taken) return;
    let mustSleep = true;
    while (!cpu.load32(waiterHi(cpu, cpu.id), asked, Order.Relaxed)) yield;
    if (cpu.lo !== 0) {
      notePassed(cpu, Passed.spunFirst);
      // After asking for the hand-off: spin, the owner is about to give the lock away.
      yield* spinOnWriter(cpu, hi, lo);
      mustSleep = cpu.lo !== 0;
    }
    if (mustSleep) {
      notePassed(cpu, Passed.writerSlept);
      yield* sleep(cpu);
    }
    yield* lockList(cpu, hi, lo);
  }
}

/** down_read_trylock. */
function* tryAcquireRead(cpu: Cpu, hi: number, lo: number): Program {
  let count = 0;
  cpu.ret = 0;
  while ((count & READ_FAILED) === 0) {
    const fresh = count + READER;
    while (!cpu.cas32(hi, lo + Semaphore.Count, count, fresh, Order.Acquire)) yield;
    if (cpu.ok) {
      yield* setReaderOwned(cpu, hi, lo, cpu.id);
      noteTried(cpu, hi, lo);
      noteReadAcquired(cpu, hi, lo, false);
      cpu.ret = 1;
      return;
    }
    count = cpu.lo;
  }
}

export interface ReadWriteSemaphore extends ReadWriteLock {
  /** Result in cpu.ret: 1 = taken. */
  tryAcquireRead(cpu: Cpu, hi: number, lo: number): Program;
  /** Writer to reader without letting a writer in between. */
  downgrade(cpu: Cpu, hi: number, lo: number): Program;
}

export function makeReadWriteSemaphore(
  steps: RwsemSteps = rwsemSteps,
  name = 'rwsem',
): ReadWriteSemaphore {
  return {
    name,
    bytes: SEMAPHORE_BYTES,
    branches: [
      ...Object.values(Passed).filter((branch) => steps.spin !== null || !SPINNING.has(branch)),
      ...Object.values(WakeBranch),
    ],

    *acquire(cpu, hi, lo) {
      while (!cpu.cas32(hi, lo + Semaphore.Count, 0, WRITER_LOCKED, Order.Acquire)) yield;
      const contended = !cpu.ok;
      if (contended) yield writeSlowPath(cpu, hi, lo, steps);
      else while (!setWriterOwned(cpu, hi, lo)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!cpu.store32(hi, lo + Semaphore.Owner, 0, Order.Relaxed)) yield;
      while (!steps.leaveWriter(cpu, hi, lo)) yield;
      if ((cpu.lo & WAITERS) !== 0) {
        notePassed(cpu, Passed.woke);
        yield wakeWaiters(cpu, hi, lo, Wake.Any);
      }
    },

    *acquireRead(cpu, hi, lo) {
      while (!steps.enterReader(cpu, hi, lo)) yield;
      const contended = (cpu.lo & READ_FAILED) !== 0;
      if (contended) {
        yield readSlowPath(cpu, hi, lo, (cpu.lo + READER) | 0, steps);
      } else {
        while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
        const owner = readerOwner(cpu.id, cpu.lo);
        while (!cpu.store32(hi, lo + Semaphore.Owner, owner, Order.Relaxed)) yield;
      }
      noteReadAcquired(cpu, hi, lo, contended);
    },

    *releaseRead(cpu, hi, lo) {
      noteReadReleased(cpu, hi, lo);
      while (!steps.leaveReader(cpu, hi, lo)) yield;
      const count = (cpu.lo - READER) | 0;
      if ((count & (LOCK_MASK | WAITERS)) === WAITERS) {
        notePassed(cpu, Passed.readerWakes);
        yield* clearNonSpinnable(cpu, hi, lo);
        yield wakeWaiters(cpu, hi, lo, Wake.Any);
      }
    },

    tryAcquireRead,

    *downgrade(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      const change = READER - WRITER_LOCKED;
      while (!cpu.add32(hi, lo + Semaphore.Count, change, Order.Release)) yield;
      const before = cpu.lo;
      yield* setReaderOwned(cpu, hi, lo, cpu.id);
      noteReadAcquired(cpu, hi, lo, false);
      if ((before & WAITERS) !== 0) yield wakeWaiters(cpu, hi, lo, Wake.ReadOwned);
    },
  };
}
