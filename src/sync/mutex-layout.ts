/**
 * Words of a mutex and of a waiter, the flags in its owner word, and its wait list.
 * Source: include/linux/mutex.h (struct mutex, 32 bytes), kernel/locking/mutex.h (MUTEX_FLAG_*),
 * kernel/locking/mutex.c: __mutex_add_waiter, __mutex_remove_waiter.
 * Invariant: the list changes under wait_lock only; WAITERS is set while it isn't empty.
 * Deviations: the owner is a compressed task pointer: CPU number + 1, and the how manieth of the
 * tasks that ran there, 0 where each CPU runs one; waiters are named by CPU, one per CPU.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

export const MutexField = {
  Owner: 0,
  WaitLock: 8,
  SpinQueue: 12,
  /** First and last waiter: CPU + 1, 0 = none. */
  First: 16,
  Last: 20,
} as const;
export const MUTEX_BYTES = 32;

export const MUTEX_WAITERS = 1;
/** The first waiter asks for the lock to be given to it. */
export const MUTEX_HANDOFF = 2;
/** The lock has been given to the task named, which has to pick it up. */
export const MUTEX_PICKUP = 4;
export const MUTEX_FLAGS = 7;
const OWNER_SHIFT = 3;
const CPU_BITS = 12;
const CPU_MASK = ((1 << CPU_BITS) - 1) << OWNER_SHIFT;

const NEXT = 0;
const PREVIOUS = 4;

/** The owner word's task part: task `turn` of those that run on a CPU one after the other. */
export function mutexTask(cpuId: number, turn = 0): number {
  return (turn << (OWNER_SHIFT + CPU_BITS)) | ((cpuId + 1) << OWNER_SHIFT);
}

/** Which task an owner word names; undefined: none. */
export function ownerOf(word: number): { cpu: number; turn: number } | undefined {
  const cpu = ((word & CPU_MASK) >>> OWNER_SHIFT) - 1;
  return cpu < 0 ? undefined : { cpu, turn: word >>> (OWNER_SHIFT + CPU_BITS) };
}

/** Hand-offs name a waiter by its CPU: its task can't have changed while it waits. */
export function isHandedTo(word: number, task: number): boolean {
  return ((word ^ task) & CPU_MASK) === 0;
}

function waiterLo(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.MutexWaiter);
}

/** Appends this CPU's waiter, with wait_lock held; result in cpu.ret: 1 = it is the only one. */
export function* addMutexWaiter(cpu: Cpu, hi: number, lo: number): Program {
  const self = cpu.id + 1;
  while (!cpu.load32(hi, lo + MutexField.Last, Order.Relaxed)) yield;
  const last = cpu.lo;
  const own = waiterLo(cpu, cpu.id);
  while (!cpu.store64(cpu.perCpuHi(cpu.id), own, last, 0, Order.Relaxed)) yield;
  const linkHi = last === 0 ? hi : cpu.perCpuHi(last - 1);
  const link = last === 0 ? lo + MutexField.First : waiterLo(cpu, last - 1) + NEXT;
  while (!cpu.store32(linkHi, link, self, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + MutexField.Last, self, Order.Relaxed)) yield;
  cpu.ret = last === 0 ? 1 : 0;
}

/** Takes this CPU's waiter off the list, with wait_lock held; cpu.ret: 1 = the list is empty. */
export function* removeMutexWaiter(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load64(cpu.perCpuHi(cpu.id), waiterLo(cpu, cpu.id), Order.Relaxed)) yield;
  const next = cpu.lo;
  const previous = cpu.hi;
  const forwardHi = previous === 0 ? hi : cpu.perCpuHi(previous - 1);
  const forward = previous === 0 ? lo + MutexField.First : waiterLo(cpu, previous - 1) + NEXT;
  while (!cpu.store32(forwardHi, forward, next, Order.Relaxed)) yield;
  const backHi = next === 0 ? hi : cpu.perCpuHi(next - 1);
  const back = next === 0 ? lo + MutexField.Last : waiterLo(cpu, next - 1) + PREVIOUS;
  while (!cpu.store32(backHi, back, previous, Order.Relaxed)) yield;
  cpu.ret = previous === 0 && next === 0 ? 1 : 0;
}
