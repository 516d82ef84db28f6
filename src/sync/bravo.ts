/**
 * BRAVO around any reader-writer lock: while the lock is biased to readers, a reader publishes the
 * lock's address in a slot of its own CPU instead of touching the lock; a writer takes the lock,
 * withdraws the bias and waits until the slots are clear.
 * Source: D. Dice, A. Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019,
 * listing 1.
 * Invariant: a reader that holds a slot looked at the bias after publishing; a writer looks at all
 * slots after withdrawing the bias; so one of them sees the other.
 * Line transfers: a biased read 0; a write with bias all slots, one per CPU of the machine.
 * Deviations: the table of visible readers is one line per CPU instead of one hashed table; the
 * bias comes back after a number of unbiased reads instead of nine times the length of the
 * withdrawal, because a lock word can't hold another CPU's deadline.
 * Events: the outer lock reports under its own address, the inner one under its own.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, EventKind, Order } from '../cpu/operations.ts';
import type { ReadWriteLock } from './lock.ts';
import {
  distantBranch,
  lockBranch,
  notePassed,
  noteReadAcquired,
  noteReadReleased,
} from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** In front of the inner lock, on a line of its own. */
const BIAS = 0;
const UNBIASED_READS = 4;
const INNER = 64;

const SLOTS = 8;
export const READS_UNTIL_BIAS = 64;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  biased: lockBranch('bravo', 'reader entered by the bias', [4, 1], [2, 2]),
  withdrawn: lockBranch('bravo', 'bias withdrawn while a reader published', [4, 1], [2, 2]),
  slow: lockBranch('bravo', 'reader went through the inner lock', [2, 1]),
  begun: lockBranch('bravo', 'bias begun', [2, 1]),
  revoked: lockBranch('bravo', 'writer withdrew the bias', [2, 1]),
  waited: lockBranch('bravo', 'writer waited for a published reader', [4, 1], [2, 2]),
  collision: distantBranch(
    'bravo',
    'no free slot for a reader',
    'takes a CPU that reads under eight locks at once',
  ),
} as const;

/** What a slot holds for the lock at lo: never 0 in the low half, even for a lock at offset 0. */
function keyOf(lo: number): number {
  return (lo + INNER) | 0;
}

export interface BravoSteps {
  /** Publishes in a free slot of this CPU and looks at the bias again; cpu.ret: slot or -1. */
  publish(cpu: Cpu, hi: number, lo: number): Program;
  /** With the inner lock held for writing: no reader is inside any more when it ends. */
  withdrawBias(cpu: Cpu, hi: number, lo: number): Program;
}

/** Result in cpu.ret: this CPU's slot that holds the address, or -1; (0, 0) finds a free one. */
function* findSlot(cpu: Cpu, hi: number, lo: number): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const slots = nodeLo(cpu, cpu.id, LockNode.VisibleReaders);
  for (let slot = 0; slot < SLOTS; slot++) {
    while (!cpu.load64(ownHi, slots + slot * 8, Order.Relaxed)) yield;
    if (cpu.hi === hi && cpu.lo === lo) {
      cpu.ret = slot;
      return;
    }
  }
  cpu.ret = -1;
}

function* storeSlot(cpu: Cpu, slot: number, hi: number, lo: number): Program {
  const at = nodeLo(cpu, cpu.id, LockNode.VisibleReaders) + slot * 8;
  // Publishing is a full barrier before the second look at the bias; clearing is a release.
  const order = hi === 0 ? Order.Release : Order.SequentiallyConsistent;
  while (!cpu.swap64(cpu.perCpuHi(cpu.id), at, hi, lo, order)) yield;
}

export const bravoSteps: BravoSteps = {
  *publish(cpu, hi, lo) {
    yield* findSlot(cpu, 0, 0);
    const slot = cpu.ret;
    if (slot < 0) {
      notePassed(cpu, Passed.collision);
      return;
    }
    yield* storeSlot(cpu, slot, hi, keyOf(lo));
    while (!cpu.load32(hi, lo + BIAS, Order.Acquire)) yield;
    if (cpu.lo === 0) {
      notePassed(cpu, Passed.withdrawn);
      yield* storeSlot(cpu, slot, 0, 0);
      cpu.ret = -1;
      return;
    }
    cpu.ret = slot;
  },

  *withdrawBias(cpu, hi, lo) {
    while (!cpu.swap32(hi, lo + BIAS, 0, Order.SequentiallyConsistent)) yield;
    for (let other = 0; other < cpu.cpuCount; other++) {
      const slotsHi = cpu.perCpuHi(other);
      const slots = nodeLo(cpu, other, LockNode.VisibleReaders);
      for (let slot = 0; slot < SLOTS; slot++) {
        const at = slots + slot * 8;
        while (!cpu.load64(slotsHi, at, Order.Acquire)) yield;
        if (cpu.hi !== hi || cpu.lo !== keyOf(lo)) continue;
        notePassed(cpu, Passed.waited);
        const key = keyOf(lo);
        while (!cpu.cond32(slotsHi, at, Condition.NotEqual, -1, key, Order.Acquire)) yield;
      }
    }
  },
};

/** A read through the inner lock; brings the bias back after a while. */
function* slowRead(
  cpu: Cpu,
  hi: number,
  lo: number,
  inner: ReadWriteLock,
  readsUntilBias: number,
): Program {
  notePassed(cpu, Passed.slow);
  yield inner.acquireRead(cpu, hi, lo + INNER);
  while (!cpu.load32(hi, lo + BIAS, Order.Relaxed)) yield;
  if (cpu.lo !== 0) return;
  while (!cpu.add32(hi, lo + UNBIASED_READS, 1, Order.Relaxed)) yield;
  if (cpu.lo % readsUntilBias !== readsUntilBias - 1) return;
  notePassed(cpu, Passed.begun);
  // Under the inner read lock: no writer is between withdrawing the bias and releasing.
  while (!cpu.store32(hi, lo + BIAS, 1, Order.Release)) yield;
}

export function makeBravoLock(
  inner: ReadWriteLock,
  steps: BravoSteps = bravoSteps,
  readsUntilBias: number = READS_UNTIL_BIAS,
): ReadWriteLock {
  return {
    name: `bravo-${inner.name}`,
    bytes: INNER + inner.bytes,
    branches: [...Object.values(Passed), ...(inner.branches ?? [])],

    *acquire(cpu, hi, lo) {
      yield inner.acquire(cpu, hi, lo + INNER);
      while (!cpu.load32(hi, lo + BIAS, Order.Relaxed)) yield;
      if (cpu.lo !== 0) {
        notePassed(cpu, Passed.revoked);
        yield steps.withdrawBias(cpu, hi, lo);
      }
      cpu.event(EventKind.LockAcquired, hi, lo);
    },

    *release(cpu, hi, lo) {
      cpu.event(EventKind.LockReleased, hi, lo);
      yield inner.release(cpu, hi, lo + INNER);
    },

    *acquireRead(cpu, hi, lo) {
      while (!cpu.load32(hi, lo + BIAS, Order.Relaxed)) yield;
      if (cpu.lo !== 0) {
        yield* steps.publish(cpu, hi, lo);
        if (cpu.ret >= 0) {
          notePassed(cpu, Passed.biased);
          noteReadAcquired(cpu, hi, lo, false);
          return;
        }
      }
      yield* slowRead(cpu, hi, lo, inner, readsUntilBias);
      cpu.event(EventKind.ReadLockAcquired, hi, lo);
    },

    *releaseRead(cpu, hi, lo) {
      noteReadReleased(cpu, hi, lo);
      yield* findSlot(cpu, hi, keyOf(lo));
      if (cpu.ret < 0) {
        yield inner.releaseRead(cpu, hi, lo + INNER);
        return;
      }
      yield* storeSlot(cpu, cpu.ret, 0, 0);
    },
  };
}
