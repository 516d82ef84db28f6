/**
 * The wait list of a rw_semaphore and who is woken from it.
 * Source: kernel/locking/rwsem.c: rwsem_add_waiter, rwsem_del_waiter, rwsem_mark_wake,
 * rwsem_cond_wake_waiter.
 * Invariants: the list changes under wait_lock only; WAITERS is set while it isn't empty; a reader
 * that leaves the list has its share of the count already.
 * Deviation: a reader at the front asks for a hand-off after it was robbed 16 times, where the
 * kernel asks after 4 ms: the waker can't read another CPU's deadline.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { distantBranch, lockBranch, notePassed } from './lock-events.ts';
import {
  HANDOFF,
  NON_SPINNABLE,
  OWNER_SHIFT,
  READER,
  READER_MASK,
  READER_OWNED,
  Semaphore,
  WAITERS,
  Waiter,
  WRITER_LOCKED,
  waiterHi,
  waiterLo,
} from './rwsem-layout.ts';

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const WakeBranch = {
  granted: lockBranch('rwsem', 'waiting readers granted', [2, 1]),
  together: lockBranch('rwsem', 'several readers granted at once', [4, 1], [3, 2]),
  robbed: lockBranch('rwsem', 'waker found the lock stolen from the first reader', [3, 1]),
  readerAsked: distantBranch(
    'rwsem',
    'robbed reader asked for a hand-off',
    'takes a reader that is robbed 16 times',
  ),
} as const;

export const Wake = {
  /** Whoever is first; a writer alone, readers together. */
  Any: 0,
  /** Readers only. */
  Readers: 1,
  /** Readers, and the caller holds the lock for reading already. */
  ReadOwned: 2,
} as const;
export type Wake = (typeof Wake)[keyof typeof Wake];

const MAX_READERS_WOKEN = 256;
const ROBBED_LIMIT = 16;

/** Appends this CPU's waiter. */
export function* addWaiter(cpu: Cpu, hi: number, lo: number, writes: boolean): Program {
  const ownHi = waiterHi(cpu, cpu.id);
  const own = waiterLo(cpu, cpu.id);
  while (!cpu.load32(hi, lo + Semaphore.Last, Order.Relaxed)) yield;
  const last = cpu.lo;
  while (!cpu.store64(ownHi, own + Waiter.Next, last, 0, Order.Relaxed)) yield;
  while (!cpu.store64(ownHi, own + Waiter.Writes, 1, writes ? 1 : 0, Order.Relaxed)) yield;
  while (!cpu.store64(ownHi, own + Waiter.Handoff, 0, 0, Order.Relaxed)) yield;
  if (last === 0) {
    while (!cpu.store32(hi, lo + Semaphore.First, cpu.id + 1, Order.Relaxed)) yield;
  } else {
    const lastLo = waiterLo(cpu, last - 1) + Waiter.Next;
    while (!cpu.store32(waiterHi(cpu, last - 1), lastLo, cpu.id + 1, Order.Relaxed)) yield;
  }
  while (!cpu.store32(hi, lo + Semaphore.Last, cpu.id + 1, Order.Relaxed)) yield;
}

/** Takes the waiter of CPU `of` off the list. */
export function* removeWaiter(cpu: Cpu, hi: number, lo: number, of: number): Program {
  while (!cpu.load64(waiterHi(cpu, of), waiterLo(cpu, of) + Waiter.Next, Order.Relaxed)) yield;
  const next = cpu.lo;
  const previous = cpu.hi;
  const forwardHi = previous === 0 ? hi : waiterHi(cpu, previous - 1);
  const forwardLo =
    previous === 0 ? lo + Semaphore.First : waiterLo(cpu, previous - 1) + Waiter.Next;
  while (!cpu.store32(forwardHi, forwardLo, next, Order.Relaxed)) yield;
  const backHi = next === 0 ? hi : waiterHi(cpu, next - 1);
  const backLo = next === 0 ? lo + Semaphore.Last : waiterLo(cpu, next - 1) + Waiter.Previous;
  while (!cpu.store32(backHi, backLo, previous, Order.Relaxed)) yield;
}

/** The owner word of a reader, after what was there (rwsem_set_reader_owned). */
export function readerOwner(reader: number, before: number): number {
  return ((reader + 1) << OWNER_SHIFT) | READER_OWNED | (before & NON_SPINNABLE);
}

export function* setReaderOwned(cpu: Cpu, hi: number, lo: number, reader: number): Program {
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  const owner = readerOwner(reader, cpu.lo);
  while (!cpu.store32(hi, lo + Semaphore.Owner, owner, Order.Relaxed)) yield;
}

export function* clearNonSpinnable(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  if ((cpu.lo & NON_SPINNABLE) === 0) return;
  while (!cpu.clear32(hi, lo + Semaphore.Owner, NON_SPINNABLE, Order.Relaxed)) yield;
}

/** rwsem_mark_wake, with wait_lock held: the CPUs to wake once it is dropped go into `woken`. */
export function* markWake(cpu: Cpu, hi: number, lo: number, kind: Wake, woken: number[]): Program {
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  const first = cpu.lo - 1;
  while (!cpu.load32(waiterHi(cpu, first), waiterLo(cpu, first) + Waiter.Writes, Order.Relaxed))
    yield;
  if (cpu.lo === 1) {
    if (kind === Wake.Any) woken.push(first);
    return;
  }
  let granted = 0;
  if (kind !== Wake.ReadOwned) {
    yield* grantFirstReader(cpu, hi, lo, first);
    if (cpu.ret === 0) return;
    granted = READER;
  }
  const readers: number[] = [];
  yield* collectReaders(cpu, hi, lo, first, readers);
  notePassed(cpu, readers.length > 1 ? WakeBranch.together : WakeBranch.granted);
  while (!cpu.load32(hi, lo + Semaphore.First, Order.Relaxed)) yield;
  const isEmpty = cpu.lo === 0;
  while (!cpu.load32(hi, lo + Semaphore.Count, Order.Relaxed)) yield;
  let adjustment = readers.length * READER - granted;
  if (isEmpty) adjustment -= WAITERS;
  if ((cpu.lo & HANDOFF) !== 0) adjustment -= HANDOFF;
  if (adjustment !== 0) {
    while (!cpu.add32(hi, lo + Semaphore.Count, adjustment, Order.Relaxed)) yield;
  }
  for (const reader of readers) {
    const waiting = waiterLo(cpu, reader) + Waiter.Waiting;
    while (!cpu.store32(waiterHi(cpu, reader), waiting, 0, Order.Release)) yield;
    woken.push(reader);
  }
}

/** Takes the first reader's share before counting the others: a writer may have stolen the lock. */
function* grantFirstReader(cpu: Cpu, hi: number, lo: number, first: number): Program {
  while (!cpu.add32(hi, lo + Semaphore.Count, READER, Order.Relaxed)) yield;
  const before = cpu.lo;
  if ((before & WRITER_LOCKED) === 0) {
    yield* setReaderOwned(cpu, hi, lo, first);
    cpu.ret = 1;
    return;
  }
  notePassed(cpu, WakeBranch.robbed);
  const firstHi = waiterHi(cpu, first);
  const firstLo = waiterLo(cpu, first);
  let adjustment = -READER;
  while (!cpu.load32(firstHi, firstLo + Waiter.Robbed, Order.Relaxed)) yield;
  const robbed = cpu.lo + 1;
  while (!cpu.store32(firstHi, firstLo + Waiter.Robbed, robbed, Order.Relaxed)) yield;
  if (robbed >= ROBBED_LIMIT) {
    notePassed(cpu, WakeBranch.readerAsked);
    if ((before & HANDOFF) === 0) adjustment += HANDOFF;
    while (!cpu.store32(firstHi, firstLo + Waiter.Handoff, 1, Order.Relaxed)) yield;
  }
  while (!cpu.add32(hi, lo + Semaphore.Count, adjustment, Order.Relaxed)) yield;
  cpu.ret = 0;
}

/** Unlinks every reader of the list, up to a bound, into `readers`. */
function* collectReaders(
  cpu: Cpu,
  hi: number,
  lo: number,
  first: number,
  readers: number[],
): Program {
  let at = first;
  while (at >= 0 && readers.length < MAX_READERS_WOKEN) {
    const atHi = waiterHi(cpu, at);
    const atLo = waiterLo(cpu, at);
    while (!cpu.load32(atHi, atLo + Waiter.Writes, Order.Relaxed)) yield;
    const writes = cpu.lo === 1;
    while (!cpu.load32(atHi, atLo + Waiter.Next, Order.Relaxed)) yield;
    const next = cpu.lo - 1;
    if (!writes) {
      yield* removeWaiter(cpu, hi, lo, at);
      readers.push(at);
    }
    at = next;
  }
}

/** rwsem_cond_wake_waiter: after `count` was seen, is there anybody to wake? */
export function* wakeIfPossible(
  cpu: Cpu,
  hi: number,
  lo: number,
  count: number,
  woken: number[],
): Program {
  if ((count & WRITER_LOCKED) !== 0) return;
  if ((count & READER_MASK) !== 0) {
    yield* markWake(cpu, hi, lo, Wake.Readers, woken);
    return;
  }
  yield* clearNonSpinnable(cpu, hi, lo);
  yield* markWake(cpu, hi, lo, Wake.Any, woken);
}
