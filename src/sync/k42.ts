/**
 * K42's MCS lock: the queue nodes are hidden in acquire, the lock itself is the owner's node.
 * Source: M. Auslander et al., "Enhancement to the MCS Lock for Increased Functionality and
 * Improved Programmability", US patent application 2003; M. Scott, "Shared-Memory
 * Synchronization", 2013, figure 4.13.
 * Invariants: the lock's tail is null (free), the lock itself (owned, nobody waits) or the last
 * waiter's node; the lock's next is the owner's successor once it has linked itself; a node is in
 * use only while its CPU waits.
 * Line transfers per hand-over, arrival included: 6 to 7 (the lock's line to whoever arrives, to
 * the releaser and to the new owner, two nodes there and back), whatever n.
 * Deviations: node references are small numbers (CPU, nesting level) instead of pointers into
 * stacks.
 */

import { assert } from '../base/assert.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** Words of the lock and of a node. A node's tail only says that its CPU waits. */
const TAIL = 0;
const NEXT = 4;
const LOCK_BYTES = 8;
/** The lock as a reference, and the tail of a node whose CPU waits. */
const LOCK_ITSELF = -1;
const WAITING = 1;
const LEVELS = 4;
const NODE_BYTES = 64;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('k42', 'waited on its node', [2, 1]),
  moved: lockBranch('k42', 'tail moved while it queued', [2, 1]),
  free: lockBranch('k42', 'free on the second look', [2, 1]),
  last: lockBranch('k42', 'moved into the lock with nobody behind', [2, 1]),
  lateMoving: lockBranch(
    'k42',
    'successor not linked yet when it moved into the lock',
    [3, 1],
    [2, 2],
  ),
  emptied: lockBranch('k42', 'left an empty queue', [2, 1]),
  late: lockBranch('k42', 'successor not linked yet when it left', [2, 1]),
  handed: lockBranch('k42', 'handed over', [2, 1]),
} as const;

/** Steps that are no programs are one attempt each. */
export interface K42Steps {
  /** Result in cpu.ok. */
  takeFree(cpu: Cpu, hi: number, lo: number): boolean;
  /** Puts the node in the tail's place if that still is `previous`; result in cpu.ok. */
  swapTail(cpu: Cpu, hi: number, lo: number, previous: number, self: number): boolean;
  wait(cpu: Cpu, node: number): boolean;
  /** Granted: leaves the node, the lock stands for this CPU in the queue from here on. */
  moveIntoLock(cpu: Cpu, hi: number, lo: number, self: number, node: number): Program;
  /** Result in cpu.ok: nobody was behind us, and the lock is free. */
  emptyTail(cpu: Cpu, hi: number, lo: number): boolean;
  awaitNext(cpu: Cpu, hi: number, lo: number): boolean;
  handOver(cpu: Cpu, next: number): boolean;
}

function ownerOf(reference: number): number {
  return Math.floor((reference - 1) / LEVELS);
}

function nodeAt(cpu: Cpu, reference: number): number {
  const level = (reference - 1) % LEVELS;
  return nodeLo(cpu, ownerOf(reference), LockNode.K42 + level * NODE_BYTES);
}

export const k42Steps: K42Steps = {
  takeFree: (cpu, hi, lo) => cpu.cas32(hi, lo + TAIL, 0, LOCK_ITSELF, Order.Acquire),

  swapTail: (cpu, hi, lo, previous, self) =>
    cpu.cas32(hi, lo + TAIL, previous, self, Order.AcquireRelease),

  wait: (cpu, node) =>
    cpu.cond32(cpu.perCpuHi(cpu.id), node + TAIL, Condition.Equal, -1, 0, Order.Acquire),

  *moveIntoLock(cpu, hi, lo, self, node) {
    const ownHi = cpu.perCpuHi(cpu.id);
    while (!cpu.load32(ownHi, node + NEXT, Order.Relaxed)) yield;
    if (cpu.lo === 0) {
      // Nobody behind us so far; before the tail says so, the lock's next must.
      while (!cpu.store32(hi, lo + NEXT, 0, Order.Relaxed)) yield;
      while (!cpu.cas32(hi, lo + TAIL, self, LOCK_ITSELF, Order.AcquireRelease)) yield;
      if (cpu.ok) {
        notePassed(cpu, Passed.last);
        return;
      }
      notePassed(cpu, Passed.lateMoving);
      while (!k42Steps.awaitNext(cpu, ownHi, node)) yield;
    }
    const successor = cpu.lo;
    while (!cpu.store32(hi, lo + NEXT, successor, Order.Relaxed)) yield;
  },

  emptyTail: (cpu, hi, lo) => cpu.cas32(hi, lo + TAIL, LOCK_ITSELF, 0, Order.Release),

  awaitNext: (cpu, hi, lo) => cpu.cond32(hi, lo + NEXT, Condition.NotEqual, -1, 0, Order.Relaxed),

  handOver: (cpu, next) =>
    cpu.store32(cpu.perCpuHi(ownerOf(next)), nodeAt(cpu, next) + TAIL, 0, Order.Release),
};

/** Queues behind `seen` or whoever is last by then, and waits, unless the lock turns out free. */
function* queue(cpu: Cpu, hi: number, lo: number, seen: number, steps: K42Steps): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const depth = nodeLo(cpu, cpu.id, LockNode.K42Depth);
  while (!cpu.load32(ownHi, depth, Order.Relaxed)) yield;
  const level = cpu.lo;
  assert(level < LEVELS, `cpu ${cpu.id} nests K42 acquisitions ${level + 1} deep`);
  while (!cpu.store32(ownHi, depth, level + 1, Order.Relaxed)) yield;
  const self = cpu.id * LEVELS + level + 1;
  const node = nodeAt(cpu, self);
  while (!cpu.store64(ownHi, node, 0, WAITING, Order.Relaxed)) yield;
  let previous = seen;
  let isFree = false;
  for (;;) {
    if (previous === 0) {
      while (!steps.takeFree(cpu, hi, lo)) yield;
      isFree = cpu.ok;
    } else {
      while (!steps.swapTail(cpu, hi, lo, previous, self)) yield;
    }
    if (cpu.ok) break;
    notePassed(cpu, Passed.moved);
    previous = cpu.lo;
  }
  notePassed(cpu, isFree ? Passed.free : Passed.waited);
  if (!isFree) {
    const nextHi = previous === LOCK_ITSELF ? hi : cpu.perCpuHi(ownerOf(previous));
    const nextLo = (previous === LOCK_ITSELF ? lo : nodeAt(cpu, previous)) + NEXT;
    while (!cpu.store32(nextHi, nextLo, self, Order.Release)) yield;
    while (!steps.wait(cpu, node)) yield;
    yield* steps.moveIntoLock(cpu, hi, lo, self, node);
  }
  while (!cpu.store32(ownHi, depth, level, Order.Relaxed)) yield;
}

export function makeK42Lock(steps: K42Steps = k42Steps): Lock {
  return {
    name: 'k42',
    bytes: LOCK_BYTES,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      while (!steps.takeFree(cpu, hi, lo)) yield;
      const contended = !cpu.ok;
      if (contended) yield* queue(cpu, hi, lo, cpu.lo, steps);
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!cpu.load32(hi, lo + NEXT, Order.Relaxed)) yield;
      if (cpu.lo === 0) {
        while (!steps.emptyTail(cpu, hi, lo)) yield;
        if (cpu.ok) {
          notePassed(cpu, Passed.emptied);
          return;
        }
        notePassed(cpu, Passed.late);
        while (!steps.awaitNext(cpu, hi, lo)) yield;
      }
      const next = cpu.lo;
      notePassed(cpu, Passed.handed);
      while (!steps.handOver(cpu, next)) yield;
    },
  };
}
