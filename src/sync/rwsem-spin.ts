/**
 * Optimistic spinning of writers on a rw_semaphore: while the owner runs, spinning for it is
 * cheaper than sleeping.
 * Source: kernel/locking/rwsem.c: rwsem_can_spin_on_owner, rwsem_spin_on_owner,
 * rwsem_optimistic_spin, rwsem_rspin_threshold, rwsem_try_write_lock_unqueued.
 * Invariant: one spinner at a time, the head of the spin queue; it steals only a lock that is free
 * and not to be handed off.
 * Deviations: an owner counts as running even while it sleeps for something else; between two looks
 * the spinner waits for the word to change instead of polling it.
 */

import { PS_PER_NS } from '../base/units.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { lockSpinQueue, unlockSpinQueue } from './optimistic-spin-queue.ts';
import {
  HANDOFF,
  LOCK_MASK,
  NON_SPINNABLE,
  OWNER_SHIFT,
  READER_OWNED,
  Semaphore,
  WRITER_LOCKED,
} from './rwsem-layout.ts';

/** rwsem_rspin_threshold: 10 us and half a microsecond per reader, 30 readers at most. */
const SPIN_BASE_NS = 10_000;
const SPIN_READER_NS = 500;
const SPIN_READERS_MAX = 30;

export function setWriterOwned(cpu: Cpu, hi: number, lo: number): boolean {
  const owner = (cpu.id + 1) << OWNER_SHIFT;
  return cpu.store32(hi, lo + Semaphore.Owner, owner, Order.Relaxed);
}

/** The count with the write lock taken by one who hasn't queued; 0 = he may not take it. */
export type StealWrite = (count: number) => number;

export const stealFree: StealWrite = (count) =>
  (count & (LOCK_MASK | HANDOFF)) === 0 ? count | WRITER_LOCKED : 0;

/** Result in cpu.ret: 1 = taken; cpu.lo = the last count seen. */
function* tryStealWrite(cpu: Cpu, hi: number, lo: number, steal: StealWrite): Program {
  while (!cpu.load32(hi, lo + Semaphore.Count, Order.Relaxed)) yield;
  let count = cpu.lo;
  for (let locked = steal(count); locked !== 0; locked = steal(count)) {
    while (!cpu.cas32(hi, lo + Semaphore.Count, count, locked, Order.Acquire)) yield;
    if (cpu.ok) {
      while (!setWriterOwned(cpu, hi, lo)) yield;
      cpu.ret = 1;
      return;
    }
    count = cpu.lo;
  }
  cpu.lo = count;
  cpu.ret = 0;
}

/** Waits until a writer that owns the lock is replaced; result in cpu.lo: the owner word. */
export function* spinOnWriter(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  const owner = cpu.lo;
  if (owner === 0 || (owner & (READER_OWNED | NON_SPINNABLE)) !== 0) return;
  const at = lo + Semaphore.Owner;
  while (!cpu.cond32(hi, at, Condition.NotEqual, -1, owner, Order.Relaxed)) yield;
}

/** rwsem_optimistic_spin; result in cpu.ret: 1 = the write lock was stolen. */
export function* spinForWrite(
  cpu: Cpu,
  hi: number,
  lo: number,
  steal: StealWrite = stealFree,
): Program {
  cpu.ret = 0;
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  if ((cpu.lo & NON_SPINNABLE) !== 0) return;
  yield* lockSpinQueue(cpu, hi, lo + Semaphore.SpinQueue);
  yield* spinAtHead(cpu, hi, lo, steal);
  const taken = cpu.ret;
  yield* unlockSpinQueue(cpu, hi, lo + Semaphore.SpinQueue);
  cpu.ret = taken;
}

function* spinAtHead(cpu: Cpu, hi: number, lo: number, steal: StealWrite): Program {
  let wasReader = false;
  let readerDeadline = 0;
  for (;;) {
    yield* spinOnWriter(cpu, hi, lo);
    const owner = cpu.lo;
    const isReader = (owner & READER_OWNED) !== 0;
    cpu.ret = 0;
    // A writer's word marked non-spinnable ends the spin at once; a reader's only at the first
    // look.
    if ((owner & NON_SPINNABLE) !== 0 && !(isReader && wasReader)) return;
    yield* tryStealWrite(cpu, hi, lo, steal);
    if (cpu.ret === 1) return;
    const count = cpu.lo;
    if (!isReader) {
      wasReader = false;
      yield* waitForChange(cpu, hi, lo, count);
      continue;
    }
    if (!wasReader) readerDeadline = readerLimit(cpu, count);
    wasReader = true;
    const mask = LOCK_MASK | HANDOFF;
    const at = lo + Semaphore.Count;
    while (!cpu.cond32Until(hi, at, Condition.Equal, mask, 0, readerDeadline, Order.Relaxed)) yield;
    if (!cpu.ok) {
      yield* giveUpOnReaders(cpu, hi, lo);
      if (cpu.ret === 1) {
        cpu.ret = 0;
        return;
      }
      wasReader = false;
    }
  }
}

function readerLimit(cpu: Cpu, count: number): number {
  const readers = Math.min(count >>> 8, SPIN_READERS_MAX);
  return cpu.deadline((SPIN_BASE_NS + SPIN_READER_NS * readers) * PS_PER_NS);
}

/** The owner is between two writers: it changes when the count does. */
function* waitForChange(cpu: Cpu, hi: number, lo: number, count: number): Program {
  const at = lo + Semaphore.Count;
  while (!cpu.cond32(hi, at, Condition.NotEqual, -1, count, Order.Relaxed)) yield;
}

/** Marks a lock that readers keep as not worth spinning for; result in cpu.ret: 1 = marked. */
function* giveUpOnReaders(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + Semaphore.Owner, Order.Relaxed)) yield;
  cpu.ret = 0;
  if ((cpu.lo & READER_OWNED) === 0) return;
  while (!cpu.set32(hi, lo + Semaphore.Owner, NON_SPINNABLE, Order.Relaxed)) yield;
  cpu.ret = 1;
}
