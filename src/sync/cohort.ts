/**
 * Cohort lock C-TKT-MCS: a global ticket lock and one MCS lock per NUMA node; an owner passes both
 * on inside its node, a bounded number of times.
 * Source: D. Dice, V. Marathe, N. Shavit, "Lock Cohorting: A General Technique for Designing NUMA
 * Locks", PPoPP 2012, section 3.
 * Invariants: the owner of the lock owns its node's MCS lock and, with it or through whoever passed
 * it on, the global lock; the pass count changes by its owner alone and is 0 whenever the global
 * lock is released.
 * Line transfers per hand-over, arrival included: 6 (MCS and the pass count) inside the node; those
 * of the global lock, between nodes, once per 64 hand-overs.
 * Deviation: node references are small numbers (queue-node.ts).
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

/** The lock: the global ticket lock (serving, next: 16 bits each); a line on, the blocks. */
const TABLE = 64;
const LOCK_BYTES = 72;
const NEXT_TICKET = 1 << 16;
const SERVING = 0xffff;
/** A node's block: tail of its queue; on the owner's line, passes since the global lock came. */
const TAIL = 0;
const PASSES = 64;
const BLOCK_BYTES = 128;
const PASSES_MAX = 64;

/** Of a queue node: wait, or what comes with the local lock. */
const WAIT: number = 0;
const WITH_GLOBAL: number = 1;
const WITHOUT_GLOBAL: number = 2;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('cohort', 'waited inside the node', [3, 1]),
  waitedGlobal: lockBranch('cohort', 'waited for the global lock', [2, 1]),
  passed: lockBranch('cohort', 'passed on inside the node', [3, 1]),
  threshold: lockBranch('cohort', 'gave the global lock away with a waiter in the node', [3, 2]),
  emptied: lockBranch('cohort', 'left an empty queue', [2, 1]),
  late: lockBranch('cohort', 'successor not linked yet', [3, 1]),
} as const;

/** Steps that are no programs are one attempt each, but mayPass. */
export interface CohortSteps {
  mayPass(passes: number): boolean;
  /** Result in cpu.lo: reference of the waiter before us, 0 = the local lock is ours. */
  enqueue(cpu: Cpu, tailHi: number, tailLo: number, self: number): Program;
  /** Result in cpu.lo: what came with the local lock. */
  awaitTurn(cpu: Cpu, self: number): boolean;
  takeGlobal(cpu: Cpu, hi: number, lo: number): Program;
  releaseGlobal(cpu: Cpu, hi: number, lo: number): Program;
  /** Result in cpu.ok: nobody waits in this node. */
  emptyTail(cpu: Cpu, tailHi: number, tailLo: number, self: number): boolean;
  /** Passes the local lock and, while the global one is held, that too. */
  passBoth(cpu: Cpu, next: number): boolean;
  /** Passes the local lock alone: the global one has been released. */
  passLocal(cpu: Cpu, next: number): boolean;
}

function pass(cpu: Cpu, next: number, what: number): boolean {
  const at = nodeAt(cpu, next) + QueueNode.Status;
  return cpu.store32(nodeHi(cpu, next), at, what, Order.Release);
}

export const cohortSteps: CohortSteps = {
  mayPass: (passes) => passes < PASSES_MAX,

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

  *takeGlobal(cpu, hi, lo) {
    while (!cpu.add32(hi, lo, NEXT_TICKET, Order.AcquireRelease)) yield;
    const ticket = cpu.lo >>> 16;
    cpu.ret = ticket === (cpu.lo & SERVING) ? 0 : 1;
    if (cpu.ret === 0) return;
    notePassed(cpu, Passed.waitedGlobal);
    while (!cpu.cond32(hi, lo, Condition.Equal, SERVING, ticket, Order.Acquire)) yield;
  },

  *releaseGlobal(cpu, hi, lo) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const next = (cpu.lo + 1) & SERVING;
    while (!cpu.store16(hi, lo, next, Order.Release)) yield;
  },

  emptyTail: (cpu, tailHi, tailLo, self) => cpu.cas32(tailHi, tailLo, self, 0, Order.Release),
  passBoth: (cpu, next) => pass(cpu, next, WITH_GLOBAL),
  passLocal: (cpu, next) => pass(cpu, next, WITHOUT_GLOBAL),
};

function* leave(cpu: Cpu, hi: number, lo: number, self: number, steps: CohortSteps): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const node = nodeAt(cpu, self);
  while (!loadTable(cpu, hi, lo, TABLE)) yield;
  const tableHi = cpu.hi;
  const tableLo = cpu.lo;
  while (!loadBlock(cpu, tableHi, tableLo, cpu.node)) yield;
  const blockHi = cpu.hi;
  const blockLo = cpu.lo;
  while (!cpu.load32(blockHi, blockLo + PASSES, Order.Relaxed)) yield;
  const passes = cpu.lo;
  while (!cpu.load32(ownHi, node + QueueNode.Next, Order.Acquire)) yield;
  const known = cpu.lo;
  if (known !== 0 && steps.mayPass(passes)) {
    notePassed(cpu, Passed.passed);
    while (!cpu.store32(blockHi, blockLo + PASSES, passes + 1, Order.Relaxed)) yield;
    while (!steps.passBoth(cpu, known)) yield;
    return;
  }
  while (!cpu.store32(blockHi, blockLo + PASSES, 0, Order.Relaxed)) yield;
  yield* steps.releaseGlobal(cpu, hi, lo);
  if (known === 0) {
    while (!steps.emptyTail(cpu, blockHi, blockLo + TAIL, self)) yield;
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

export function makeCohortLock(steps: CohortSteps = cohortSteps): Lock {
  return {
    name: 'cohort',
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
      let hasGlobal = false;
      if (contended) {
        notePassed(cpu, Passed.waited);
        while (!steps.awaitTurn(cpu, self)) yield;
        hasGlobal = cpu.lo === WITH_GLOBAL;
      }
      if (!hasGlobal) {
        yield* steps.takeGlobal(cpu, hi, lo);
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
