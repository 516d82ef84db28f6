/**
 * HMCS, a hierarchy of MCS locks: one queue per NUMA node, and a root queue of nodes. Whoever leads
 * a node's queue waits in the root queue for all; the root stays with the node for a threshold of
 * hand-overs.
 * Source: M. Chabbi, M. Fagan, J. Mellor-Crummey, "High Performance Locks for Multi-level NUMA
 * Systems", PPoPP 2015, figure 3, with two levels.
 * Invariants: a node's queue node is in the root queue from before its leader owns the root until
 * after it released it, and only the leader touches it; the status of an owner is the number of
 * owners of this node in a row, at most the threshold.
 * Line transfers per hand-over, arrival included: 5 as MCS inside the node; those of the root
 * queue, between nodes, once per 64 hand-overs.
 * Deviation: node references are small numbers (queue-node.ts; NUMA node + 1 in the root).
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { bootNodeBlocks, loadBlock, loadTable } from './boot-blocks.ts';
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

/** The lock: tail of the root queue; on a line of its own, the blocks. */
const ROOT_TAIL = 0;
const TABLE = 64;
const LOCK_BYTES = 72;
/** A node's block: tail of its queue; on the next line its node in the root queue. */
const TAIL = 0;
const ROOT_NODE = 64;
const BLOCK_BYTES = 128;

/** Status of a queue node. From FIRST on: the lock is ours, as the n-th owner of the node. */
const WAIT = 0;
const FIRST = 1;
const ACQUIRE_PARENT = -1;
const THRESHOLD = 64;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('hmcs', 'waited inside the node', [3, 1]),
  waitedRoot: lockBranch('hmcs', 'waited in the queue of nodes', [2, 1]),
  passed: lockBranch('hmcs', 'passed on inside the node', [3, 1]),
  threshold: lockBranch('hmcs', 'gave the root away with a waiter in the node', [3, 2]),
  emptied: lockBranch('hmcs', 'left an empty queue', [2, 1]),
  late: lockBranch('hmcs', 'successor not linked yet', [3, 1]),
  rootEmptied: lockBranch('hmcs', 'left an empty queue of nodes', [2, 1]),
  rootLate: lockBranch('hmcs', 'next node not linked yet', [2, 1]),
  rootHanded: lockBranch('hmcs', 'handed the root over', [2, 1]),
  parent: lockBranch('hmcs', 'led the node after the root was given away', [3, 1]),
} as const;

/** Steps that are no programs are one attempt each, but mayPass. */
export interface HmcsSteps {
  /** May the n-th owner of the node in a row pass the root on inside the node? */
  mayPass(owners: number): boolean;
  enqueue(cpu: Cpu, tailHi: number, tailLo: number, self: number): Program;
  /** Result in cpu.lo: the status that ended the waiting. */
  awaitTurn(cpu: Cpu, self: number): boolean;
  /** Waits in the root queue for the node; result in cpu.ret: 1 = it had to wait. */
  takeRoot(cpu: Cpu, hi: number, lo: number, tableHi: number, tableLo: number): Program;
  releaseRoot(cpu: Cpu, hi: number, lo: number, tableHi: number, tableLo: number): Program;
  emptyTail(cpu: Cpu, tailHi: number, tailLo: number, self: number): boolean;
  /** Passes the node's lock, and the root with it: `owners` = the successor's number. */
  passBoth(cpu: Cpu, next: number, owners: number): boolean;
  /** Passes the node's lock alone: the root has been released. */
  passLocal(cpu: Cpu, next: number): boolean;
}

function setStatus(cpu: Cpu, next: number, status: number): boolean {
  const at = nodeAt(cpu, next) + QueueNode.Status;
  return cpu.store32(nodeHi(cpu, next), at, status, Order.Release);
}

export const hmcsSteps: HmcsSteps = {
  mayPass: (owners) => owners < THRESHOLD,

  *enqueue(cpu, tailHi, tailLo, self) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const node = nodeAt(cpu, self);
    while (!cpu.store64(ownHi, node + QueueNode.Next, WAIT, 0, Order.Relaxed)) yield;
    while (!cpu.swap32(tailHi, tailLo, self, Order.AcquireRelease)) yield;
    const previous = cpu.lo;
    if (previous !== 0) {
      const link = nodeAt(cpu, previous) + QueueNode.Next;
      while (!cpu.store32(nodeHi(cpu, previous), link, self, Order.Release)) yield;
    }
    cpu.lo = previous;
  },

  awaitTurn: (cpu, self) =>
    cpu.cond32(
      cpu.perCpuHi(cpu.id),
      nodeAt(cpu, self) + QueueNode.Status,
      Condition.NotEqual,
      -1,
      WAIT,
      Order.Acquire,
    ),

  *takeRoot(cpu, hi, lo, tableHi, tableLo) {
    while (!loadBlock(cpu, tableHi, tableLo, cpu.node)) yield;
    const ownHi = cpu.hi;
    const own = cpu.lo + ROOT_NODE;
    while (!cpu.store64(ownHi, own + QueueNode.Next, WAIT, 0, Order.Relaxed)) yield;
    while (!cpu.swap32(hi, lo + ROOT_TAIL, cpu.node + 1, Order.AcquireRelease)) yield;
    const previous = cpu.lo;
    cpu.ret = previous === 0 ? 0 : 1;
    if (previous === 0) return;
    notePassed(cpu, Passed.waitedRoot);
    while (!loadBlock(cpu, tableHi, tableLo, previous - 1)) yield;
    const linkHi = cpu.hi;
    const link = cpu.lo + ROOT_NODE + QueueNode.Next;
    while (!cpu.store32(linkHi, link, cpu.node + 1, Order.Release)) yield;
    const at = own + QueueNode.Status;
    while (!cpu.cond32(ownHi, at, Condition.NotEqual, -1, WAIT, Order.Acquire)) yield;
  },

  *releaseRoot(cpu, hi, lo, tableHi, tableLo) {
    while (!loadBlock(cpu, tableHi, tableLo, cpu.node)) yield;
    const ownHi = cpu.hi;
    const own = cpu.lo + ROOT_NODE;
    while (!cpu.load32(ownHi, own + QueueNode.Next, Order.Acquire)) yield;
    if (cpu.lo === 0) {
      while (!cpu.cas32(hi, lo + ROOT_TAIL, cpu.node + 1, 0, Order.Release)) yield;
      notePassed(cpu, cpu.ok ? Passed.rootEmptied : Passed.rootLate);
      if (cpu.ok) return;
      const at = own + QueueNode.Next;
      while (!cpu.cond32(ownHi, at, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
    }
    notePassed(cpu, Passed.rootHanded);
    const next = cpu.lo - 1;
    while (!loadBlock(cpu, tableHi, tableLo, next)) yield;
    const nextHi = cpu.hi;
    const status = cpu.lo + ROOT_NODE + QueueNode.Status;
    while (!cpu.store32(nextHi, status, FIRST, Order.Release)) yield;
  },

  emptyTail: (cpu, tailHi, tailLo, self) => cpu.cas32(tailHi, tailLo, self, 0, Order.Release),
  passBoth: setStatus,
  passLocal: (cpu, next) => setStatus(cpu, next, ACQUIRE_PARENT),
};

function* leave(cpu: Cpu, hi: number, lo: number, self: number, steps: HmcsSteps): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const node = nodeAt(cpu, self);
  while (!cpu.load64(ownHi, node + QueueNode.Next, Order.Acquire)) yield;
  const known = cpu.lo;
  const owners = cpu.hi;
  if (known !== 0 && steps.mayPass(owners)) {
    notePassed(cpu, Passed.passed);
    while (!steps.passBoth(cpu, known, owners + 1)) yield;
    return;
  }
  while (!loadTable(cpu, hi, lo, TABLE)) yield;
  const tableHi = cpu.hi;
  const tableLo = cpu.lo;
  yield* steps.releaseRoot(cpu, hi, lo, tableHi, tableLo);
  if (known === 0) {
    while (!loadBlock(cpu, tableHi, tableLo, cpu.node)) yield;
    const tailHi = cpu.hi;
    const tail = cpu.lo + TAIL;
    while (!steps.emptyTail(cpu, tailHi, tail, self)) yield;
    notePassed(cpu, cpu.ok ? Passed.emptied : Passed.late);
    if (cpu.ok) return;
  } else {
    notePassed(cpu, Passed.threshold);
  }
  const at = node + QueueNode.Next;
  while (!cpu.cond32(ownHi, at, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
  const next = cpu.lo;
  while (!steps.passLocal(cpu, next)) yield;
}

export function makeHmcsLock(steps: HmcsSteps = hmcsSteps): Lock {
  return {
    name: 'hmcs',
    bytes: LOCK_BYTES,
    bytesPerNode: BLOCK_BYTES + 8,
    branches: Object.values(Passed),

    init(boot, physical) {
      bootNodeBlocks(boot, physical, TABLE, BLOCK_BYTES);
    },

    *acquire(cpu, hi, lo) {
      let self = firstNode(cpu);
      while (!loadNodeLock(cpu, self)) yield;
      while (cpu.hi !== 0 || cpu.lo !== 0) {
        self = nextNode(cpu, self, 0);
        while (!loadNodeLock(cpu, self)) yield;
      }
      while (!storeNodeLock(cpu, self, hi, lo)) yield;
      while (!loadTable(cpu, hi, lo, TABLE)) yield;
      const tableHi = cpu.hi;
      const tableLo = cpu.lo;
      while (!loadBlock(cpu, tableHi, tableLo, cpu.node)) yield;
      yield* steps.enqueue(cpu, cpu.hi, cpu.lo + TAIL, self);
      let contended = cpu.lo !== 0;
      let status = ACQUIRE_PARENT;
      if (contended) {
        while (!steps.awaitTurn(cpu, self)) yield;
        status = cpu.lo;
        notePassed(cpu, status === ACQUIRE_PARENT ? Passed.parent : Passed.waited);
      }
      if (status === ACQUIRE_PARENT) {
        while (!setStatus(cpu, self, FIRST)) yield;
        yield* steps.takeRoot(cpu, hi, lo, tableHi, tableLo);
        contended ||= cpu.ret !== 0;
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      let self = firstNode(cpu);
      while (!loadNodeLock(cpu, self)) yield;
      while (cpu.hi !== hi || cpu.lo !== lo) {
        self = nextNode(cpu, self, hi);
        while (!loadNodeLock(cpu, self)) yield;
      }
      noteReleased(cpu, hi, lo);
      yield* leave(cpu, hi, lo, self, steps);
      while (!storeNodeLock(cpu, self, 0, 0)) yield;
    },
  };
}
