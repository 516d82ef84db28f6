/**
 * The nodes that MCS and its descendants queue with: eight per CPU, a line each, named by small
 * numbers (CPU, slot) instead of pointers. A node remembers its lock from before it is queued until
 * it has handed over, so that locks may be released in any order without a node argument.
 *
 * To find the slot of a lock, or a free one (hi = lo = 0):
 *
 *     let self = firstNode(cpu);
 *     while (!loadNodeLock(cpu, self)) yield;
 *     while (cpu.hi !== hi || cpu.lo !== lo) {
 *       self = nextNode(cpu, self, hi);
 *       while (!loadNodeLock(cpu, self)) yield;
 *     }
 */

import { assert } from '../base/assert.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

const SLOTS = 8;

/** Words that all have; the locks' own follow from Own on. */
export const QueueNode = { Next: 0, Status: 4, Lock: 8, Own: 16 } as const;

/** A reference, never 0. */
export function firstNode(cpu: Cpu): number {
  return cpu.id * SLOTS + 1;
}

/** The slot after `self`; `hi` = that of the lock that is looked for, 0 = a free slot is. */
export function nextNode(cpu: Cpu, self: number, hi: number): number {
  const next = self + 1;
  if ((next - 1) % SLOTS !== 0) return next;
  assert(hi === 0, `cpu ${cpu.id} releases an MCS lock that it does not own`);
  assert(false, `cpu ${cpu.id} owns ${SLOTS} MCS locks and asks for one more`);
}

/** One attempt; result in cpu.hi, cpu.lo: the lock that the node belongs to. */
export function loadNodeLock(cpu: Cpu, self: number): boolean {
  return cpu.load64(nodeHi(cpu, self), nodeAt(cpu, self) + QueueNode.Lock, Order.Relaxed);
}

/** One attempt: the node belongs to the lock at (hi, lo) from here on; (0, 0) = to none. */
export function storeNodeLock(cpu: Cpu, self: number, hi: number, lo: number): boolean {
  const at = nodeAt(cpu, self) + QueueNode.Lock;
  return cpu.store64(nodeHi(cpu, self), at, hi, lo, Order.Relaxed);
}

export function nodeOwner(reference: number): number {
  return Math.floor((reference - 1) / SLOTS);
}

export function nodeHi(cpu: Cpu, reference: number): number {
  return cpu.perCpuHi(nodeOwner(reference));
}

/** Low half of the node's address. */
export function nodeAt(cpu: Cpu, reference: number): number {
  const slot = (reference - 1) % SLOTS;
  return nodeLo(cpu, nodeOwner(reference), LockNode.Mcs + slot * 64);
}
