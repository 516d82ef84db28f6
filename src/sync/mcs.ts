/**
 * MCS queue lock: the lock is the tail of a queue of per-CPU nodes, each waiter spins on its own.
 * Source: J. Mellor-Crummey, M. Scott, "Algorithms for Scalable Synchronization on Shared-Memory
 * Multiprocessors", ACM TOCS 1991, figure 5.
 * Invariant: the queue is FIFO in the order of the tail swaps; a node belongs to the lock whose
 * address is in it, from before the swap until after the hand-over.
 * Line transfers per hand-over: 2 (the successor's node to the owner and back), whatever n; plus
 * the tail and the predecessor's node for each arrival.
 * Deviations: node references are small numbers (CPU, slot) instead of pointers; a node remembers
 * its lock, so that locks may be released in any order without a node argument.
 */

import { assert } from '../base/assert.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { noteAcquired, noteReleased } from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

const SLOTS = 8;
/** Words of a node: next (a reference, 0 = none), 1 = wait, and the lock's address (0 = free). */
const NEXT = 0;
const WAIT = 4;
const LOCK = 8;

export interface McsSteps {
  /** Queues the node; result in cpu.lo: the reference of the node before it, 0 = lock is ours. */
  enqueue(cpu: Cpu, hi: number, lo: number, self: number): Program;
  /** Links behind `previous` and waits for the hand-over. */
  wait(cpu: Cpu, self: number, previous: number): Program;
  /** Result in cpu.lo: the successor's reference, 0 = the queue is empty and the lock free. */
  leave(cpu: Cpu, hi: number, lo: number, self: number): Program;
  handOver(cpu: Cpu, next: number): Program;
}

function referenceOf(cpu: Cpu, slot: number): number {
  return cpu.id * SLOTS + slot + 1;
}

function ownerOf(reference: number): number {
  return Math.floor((reference - 1) / SLOTS);
}

function addressLo(cpu: Cpu, reference: number): number {
  const slot = (reference - 1) % SLOTS;
  return nodeLo(cpu, ownerOf(reference), LockNode.Mcs + slot * 64);
}

export const mcsSteps: McsSteps = {
  *enqueue(cpu, hi, lo, self) {
    const node = addressLo(cpu, self);
    // One store for both words: wait = 1, next = none, before anybody can see the node.
    while (!cpu.store64(cpu.perCpuHi(cpu.id), node, 1, 0, Order.Relaxed)) yield;
    while (!cpu.swap32(hi, lo, self, Order.AcquireRelease)) yield;
  },

  *wait(cpu, self, previous) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const previousHi = cpu.perCpuHi(ownerOf(previous));
    const previousLo = addressLo(cpu, previous);
    const node = addressLo(cpu, self);
    while (!cpu.store32(previousHi, previousLo + NEXT, self, Order.Release)) yield;
    while (!cpu.cond32(ownHi, node + WAIT, Condition.Equal, -1, 0, Order.Acquire)) yield;
  },

  *leave(cpu, hi, lo, self) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const node = addressLo(cpu, self);
    while (!cpu.load32(ownHi, node + NEXT, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    while (!cpu.cas32(hi, lo, self, 0, Order.Release)) yield;
    if (cpu.ok) {
      cpu.lo = 0;
      return;
    }
    // Somebody swapped the tail and has not linked itself yet.
    while (!cpu.cond32(ownHi, node + NEXT, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
  },

  *handOver(cpu, next) {
    const nextHi = cpu.perCpuHi(ownerOf(next));
    const node = addressLo(cpu, next);
    while (!cpu.store32(nextHi, node + WAIT, 0, Order.Release)) yield;
  },
};

/** Result in cpu.ret: the slot whose node belongs to the lock at (hi, lo); (0, 0) = a free one. */
function* findSlot(cpu: Cpu, hi: number, lo: number): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  for (let slot = 0; slot < SLOTS; slot++) {
    const node = nodeLo(cpu, cpu.id, LockNode.Mcs + slot * 64);
    while (!cpu.load64(ownHi, node + LOCK, Order.Relaxed)) yield;
    if (cpu.lo === lo && cpu.hi === hi) {
      cpu.ret = slot;
      return;
    }
  }
  assert(hi === 0, `cpu ${cpu.id} releases an MCS lock that it does not own`);
  assert(false, `cpu ${cpu.id} owns ${SLOTS} MCS locks and asks for one more`);
}

export function makeMcsLock(steps: McsSteps = mcsSteps): Lock {
  return {
    name: 'mcs',
    bytes: 4,

    *acquire(cpu, hi, lo) {
      yield* findSlot(cpu, 0, 0);
      const self = referenceOf(cpu, cpu.ret);
      const node = addressLo(cpu, self);
      while (!cpu.store64(cpu.perCpuHi(cpu.id), node + LOCK, hi, lo, Order.Relaxed)) yield;
      yield* steps.enqueue(cpu, hi, lo, self);
      const previous = cpu.lo;
      if (previous !== 0) yield* steps.wait(cpu, self, previous);
      noteAcquired(cpu, hi, lo, previous !== 0);
    },

    *release(cpu, hi, lo) {
      yield* findSlot(cpu, hi, lo);
      const self = referenceOf(cpu, cpu.ret);
      noteReleased(cpu, hi, lo);
      yield* steps.leave(cpu, hi, lo, self);
      if (cpu.lo !== 0) yield* steps.handOver(cpu, cpu.lo);
      const node = addressLo(cpu, self);
      while (!cpu.store64(cpu.perCpuHi(cpu.id), node + LOCK, 0, 0, Order.Relaxed)) yield;
    },
  };
}
