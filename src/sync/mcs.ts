/**
 * MCS queue lock: the lock is the tail of a queue of per-CPU nodes, each waiter spins on its own.
 * Source: J. Mellor-Crummey, M. Scott, "Algorithms for Scalable Synchronization on Shared-Memory
 * Multiprocessors", ACM TOCS 1991, figure 5.
 * Invariant: the queue is FIFO in the order of the tail swaps; a node belongs to the lock whose
 * address is in it, from before the swap until after the hand-over.
 * Line transfers per hand-over, whatever n: 2 (the successor's node to the owner and back), and 3
 * for each arrival (the tail, the predecessor's node to be linked and back).
 * Deviations: node references are small numbers (CPU, slot) instead of pointers; a node remembers
 * its lock, so that locks may be released in any order without a node argument.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import {
  firstNode,
  loadNodeLock,
  nextNode,
  nodeAt,
  nodeHi,
  QueueNode,
  storeNodeLock,
} from './queue-node.ts';

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('mcs', 'waited on its own node', [2, 1]),
  emptied: lockBranch('mcs', 'left an empty queue', [2, 1]),
  late: lockBranch('mcs', 'successor not linked yet', [2, 1]),
  handed: lockBranch('mcs', 'handed over', [2, 1]),
} as const;

/** Steps that are no programs are one attempt each. */
export interface McsSteps {
  /** Queues the node; result in cpu.lo: the reference of the node before it, 0 = lock is ours. */
  enqueue(cpu: Cpu, hi: number, lo: number, self: number): Program;
  /** Links our node behind the one before it. */
  link(cpu: Cpu, self: number, previous: number): boolean;
  /** Performed once the node before ours has handed over. */
  awaitTurn(cpu: Cpu, self: number): boolean;
  /** Result in cpu.lo: the successor's reference, 0 = the queue is empty and the lock free. */
  leave(cpu: Cpu, hi: number, lo: number, self: number): Program;
  handOver(cpu: Cpu, next: number): boolean;
}

export const mcsSteps: McsSteps = {
  *enqueue(cpu, hi, lo, self) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const node = nodeAt(cpu, self);
    // One store for both words: wait = 1, next = none, before anybody can see the node.
    while (!cpu.store64(ownHi, node + QueueNode.Next, 1, 0, Order.Relaxed)) yield;
    while (!cpu.swap32(hi, lo, self, Order.AcquireRelease)) yield;
  },

  link: (cpu, self, previous) =>
    cpu.store32(nodeHi(cpu, previous), nodeAt(cpu, previous) + QueueNode.Next, self, Order.Release),

  awaitTurn: (cpu, self) =>
    cpu.cond32(
      cpu.perCpuHi(cpu.id),
      nodeAt(cpu, self) + QueueNode.Status,
      Condition.Equal,
      -1,
      0,
      Order.Acquire,
    ),

  *leave(cpu, hi, lo, self) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const next = nodeAt(cpu, self) + QueueNode.Next;
    while (!cpu.load32(ownHi, next, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    while (!cpu.cas32(hi, lo, self, 0, Order.Release)) yield;
    if (cpu.ok) {
      notePassed(cpu, Passed.emptied);
      cpu.lo = 0;
      return;
    }
    // Somebody swapped the tail and has not linked itself yet.
    notePassed(cpu, Passed.late);
    while (!cpu.cond32(ownHi, next, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
  },

  handOver: (cpu, next) =>
    cpu.store32(nodeHi(cpu, next), nodeAt(cpu, next) + QueueNode.Status, 0, Order.Release),
};

export function makeMcsLock(steps: McsSteps = mcsSteps): Lock {
  return {
    name: 'mcs',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      let self = firstNode(cpu);
      while (!loadNodeLock(cpu, self)) yield;
      while (cpu.hi !== 0 || cpu.lo !== 0) {
        self = nextNode(cpu, self, 0);
        while (!loadNodeLock(cpu, self)) yield;
      }
      while (!storeNodeLock(cpu, self, hi, lo)) yield;
      yield* steps.enqueue(cpu, hi, lo, self);
      const previous = cpu.lo;
      if (previous !== 0) {
        notePassed(cpu, Passed.waited);
        while (!steps.link(cpu, self, previous)) yield;
        while (!steps.awaitTurn(cpu, self)) yield;
      }
      noteAcquired(cpu, hi, lo, previous !== 0);
    },

    *release(cpu, hi, lo) {
      let self = firstNode(cpu);
      while (!loadNodeLock(cpu, self)) yield;
      while (cpu.hi !== hi || cpu.lo !== lo) {
        self = nextNode(cpu, self, hi);
        while (!loadNodeLock(cpu, self)) yield;
      }
      noteReleased(cpu, hi, lo);
      yield* steps.leave(cpu, hi, lo, self);
      const next = cpu.lo;
      if (next !== 0) {
        notePassed(cpu, Passed.handed);
        while (!steps.handOver(cpu, next)) yield;
      }
      while (!storeNodeLock(cpu, self, 0, 0)) yield;
    },
  };
}
