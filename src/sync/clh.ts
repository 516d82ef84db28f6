/**
 * CLH queue lock: each waiter spins on the node of the CPU before it and keeps that node
 * afterwards.
 * Sources: T. Craig, "Building FIFO and Priority-Queuing Spin Locks from Atomic Swap", UW TR
 * 93-02-02; P. Magnusson, A. Landin, E. Hagersten, IPPS 1994; M. Scott, "Shared-Memory
 * Synchronization", 2013, figure 4.14 (standard interface: the owner's node is kept in the lock).
 * Invariant: FIFO in the order of the tail swaps; nodes in circulation = 4 per CPU + 1 per lock,
 * and a node is never in two places.
 * Line transfers per hand-over, arrival included: 4 (the tail, the node to the waiter, its free
 * node back, the owner's place), whatever n; but nodes wander, so a waiter's line may be homed
 * anywhere.
 */

import { assert } from '../base/assert.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { addBytes, toLinear } from '../memory/physical-address.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** The lock: tail (an address); on a line of its own the owner's node; and the first node. */
const TAIL = 0;
const OWNER_NODE = 64;
const FIRST_NODE = 128;
const LOCK_BYTES = 192;

/** Free nodes of a CPU, by nesting level: four addresses (0 = the CPU's first one), the level. */
const LEVELS = 4;
const LEVEL = 32;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('clh', 'waited on the node before its own', [2, 1]),
  free: lockBranch('clh', 'found the node before it released', [2, 1]),
} as const;

export interface ClhSteps {
  /** Marks the node busy and queues it; result in cpu.hi, cpu.lo: the node before it. */
  enqueue(cpu: Cpu, hi: number, lo: number, nodeHi: number, nodeLo: number): Program;
  wait(cpu: Cpu, previousHi: number, previousLo: number): Program;
  /** The node before ours is ours now, at this nesting level. */
  recycle(cpu: Cpu, level: number, previousHi: number, previousLo: number): Program;
  handOver(cpu: Cpu, nodeHi: number, nodeLo: number): Program;
}

export const clhSteps: ClhSteps = {
  *enqueue(cpu, hi, lo, nodeHi, nodeLo) {
    while (!cpu.store32(nodeHi, nodeLo, 1, Order.Relaxed)) yield;
    while (!cpu.swap64(hi, lo + TAIL, nodeHi, nodeLo, Order.AcquireRelease)) yield;
  },

  *wait(cpu, previousHi, previousLo) {
    while (!cpu.cond32(previousHi, previousLo, Condition.Equal, -1, 0, Order.Acquire)) yield;
  },

  *recycle(cpu, level, previousHi, previousLo) {
    const slot = nodeLo(cpu, cpu.id, LockNode.ClhFree) + level * 8;
    const ownHi = cpu.perCpuHi(cpu.id);
    while (!cpu.store64(ownHi, slot, previousHi, previousLo, Order.Relaxed)) yield;
  },

  *handOver(cpu, nodeHi, nodeLo) {
    while (!cpu.store32(nodeHi, nodeLo, 0, Order.Release)) yield;
  },
};

/** Enters a nesting level; results: cpu.ret = level, cpu.hi and cpu.lo = its free node. */
function* takeNode(cpu: Cpu): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const slots = nodeLo(cpu, cpu.id, LockNode.ClhFree);
  while (!cpu.load32(ownHi, slots + LEVEL, Order.Relaxed)) yield;
  const level = cpu.lo;
  assert(level < LEVELS, `cpu ${cpu.id} nests CLH acquisitions ${level + 1} deep`);
  while (!cpu.store32(ownHi, slots + LEVEL, level + 1, Order.Relaxed)) yield;
  while (!cpu.load64(ownHi, slots + level * 8, Order.Relaxed)) yield;
  if (cpu.hi === 0) {
    cpu.hi = ownHi;
    cpu.lo = nodeLo(cpu, cpu.id, LockNode.Clh + level * 64);
  }
  cpu.ret = level;
}

export function makeClhLock(steps: ClhSteps = clhSteps): Lock {
  return {
    name: 'clh',
    bytes: LOCK_BYTES,
    branches: Object.values(Passed),

    init(boot, physical) {
      const first = toLinear(addBytes(physical, FIRST_NODE));
      boot.write64(physical, TAIL, first.hi, first.lo);
    },

    *acquire(cpu, hi, lo) {
      yield* takeNode(cpu);
      const level = cpu.ret;
      const ownNodeHi = cpu.hi;
      const ownNodeLo = cpu.lo;
      yield* steps.enqueue(cpu, hi, lo, ownNodeHi, ownNodeLo);
      const previousHi = cpu.hi;
      const previousLo = cpu.lo;
      while (!cpu.load32(previousHi, previousLo, Order.Acquire)) yield;
      const contended = cpu.lo !== 0;
      notePassed(cpu, contended ? Passed.waited : Passed.free);
      if (contended) yield* steps.wait(cpu, previousHi, previousLo);
      while (!cpu.store64(hi, lo + OWNER_NODE, ownNodeHi, ownNodeLo, Order.Relaxed)) yield;
      yield* steps.recycle(cpu, level, previousHi, previousLo);
      const levelLo = nodeLo(cpu, cpu.id, LockNode.ClhFree) + LEVEL;
      while (!cpu.store32(cpu.perCpuHi(cpu.id), levelLo, level, Order.Relaxed)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      while (!cpu.load64(hi, lo + OWNER_NODE, Order.Relaxed)) yield;
      const ownNodeHi = cpu.hi;
      const ownNodeLo = cpu.lo;
      noteReleased(cpu, hi, lo);
      yield* steps.handOver(cpu, ownNodeHi, ownNodeLo);
    },
  };
}
