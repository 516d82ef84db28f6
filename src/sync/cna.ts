/**
 * CNA, the compact NUMA-aware lock: MCS whose owner moves waiters of other nodes to a second queue
 * and hands over inside its node, until a threshold lets the second queue go first.
 * Source: D. Dice, A. Kogan, "Compact NUMA-Aware Locks", EuroSys 2019, figures 3 and 4;
 * "locking/qspinlock: Introduce CNA into the slow path of qspinlock" (A. Kogan, v15, not merged).
 * Invariants: every waiter is in exactly one of the two queues; the second queue is known to the
 * owner alone, through its node (head in `spin`, its tail in the head's node); an owner whose main
 * queue is empty makes the second queue the main one before it leaves.
 * Line transfers per hand-over, arrival included: 5 as MCS, but those between nodes only when the
 * threshold is reached, and once for each waiter that is moved to the second queue.
 * Deviations: hand-overs inside a node are counted (256), where the paper draws a random number,
 * and the kernel patch takes 1 ms; node references are small numbers (queue-node.ts).
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

/**
 * Spin: 0 = wait, 1 = granted, more = granted, with a second queue whose head is that - 1. In the
 * upper half of the same 64 bits: hand-overs inside the node since the last one that left it.
 */
const SPIN = QueueNode.Own;
const GRANTED = 1;
/** NUMA node + 1 of the waiter. */
const NUMA = SPIN + 8;
/** In the head of the second queue: the last of it. */
const SECOND_TAIL = SPIN + 12;
const LOCAL_HANDOVERS_MAX = 256;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('cna', 'waited on its own node', [2, 1]),
  emptied: lockBranch('cna', 'left an empty queue', [2, 1]),
  late: lockBranch('cna', 'successor not linked yet', [2, 1]),
  local: lockBranch('cna', 'handed over inside the node', [3, 1]),
  forced: lockBranch('cna', 'node switch forced', [3, 2]),
  secondary: lockBranch('cna', 'second queue begun', [3, 1]),
  appended: lockBranch('cna', 'second queue appended to', [4, 2]),
  spliced: lockBranch('cna', 'second queue spliced in front', [4, 1], [3, 2]),
  promoted: lockBranch('cna', 'second queue took the place of the main one', [3, 1]),
  promoteLost: lockBranch(
    'cna',
    'tail moved while the second queue was to take its place',
    [4, 1],
    [3, 2],
  ),
} as const;

/** Steps that are no programs are one attempt each, but stayLocal. */
export interface CnaSteps {
  /** May the lock stay in the node after so many hand-overs inside it? */
  stayLocal(handovers: number): boolean;
  enqueue(cpu: Cpu, hi: number, lo: number, self: number): Program;
  awaitTurn(cpu: Cpu, self: number): boolean;
  /**
   * Looks for a waiter of the own node and moves those before it to the second queue; result in
   * cpu.lo: the waiter, 0 = none.
   */
  findLocal(cpu: Cpu, self: number, next: number, spin: number): Program;
  /** The main queue is empty and there is no second one: result in cpu.ok = the lock is free. */
  emptyTail(cpu: Cpu, hi: number, lo: number, self: number): boolean;
  /** The main queue is empty: the second one takes its place; result in cpu.ok. */
  promoteSecond(cpu: Cpu, hi: number, lo: number, self: number, head: number): Program;
  /** The second queue goes before the main one, which begins with `next`. */
  splice(cpu: Cpu, head: number, next: number): Program;
  handOver(cpu: Cpu, next: number, spin: number, local: number): boolean;
}

function load(cpu: Cpu, reference: number, word: number): boolean {
  return cpu.load32(nodeHi(cpu, reference), nodeAt(cpu, reference) + word, Order.Relaxed);
}

function store(cpu: Cpu, reference: number, word: number, value: number): boolean {
  const at = nodeAt(cpu, reference) + word;
  return cpu.store32(nodeHi(cpu, reference), at, value, Order.Relaxed);
}

/** Of a Spin word: the head of the second queue, 0 = none. */
function secondHead(spin: number): number {
  return spin > GRANTED ? spin - 1 : 0;
}

export const cnaSteps: CnaSteps = {
  stayLocal: (handovers) => handovers < LOCAL_HANDOVERS_MAX,

  *enqueue(cpu, hi, lo, self) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const node = nodeAt(cpu, self);
    while (!cpu.store64(ownHi, node + QueueNode.Next, 0, 0, Order.Relaxed)) yield;
    while (!cpu.store64(ownHi, node + SPIN, 0, 0, Order.Relaxed)) yield;
    while (!cpu.store32(ownHi, node + NUMA, cpu.node + 1, Order.Relaxed)) yield;
    while (!cpu.swap32(hi, lo, self, Order.AcquireRelease)) yield;
    const previous = cpu.lo;
    if (previous === 0) {
      while (!cpu.store32(ownHi, node + SPIN, GRANTED, Order.Relaxed)) yield;
      cpu.lo = 0;
      return;
    }
    const link = nodeAt(cpu, previous) + QueueNode.Next;
    while (!cpu.store32(nodeHi(cpu, previous), link, self, Order.Release)) yield;
    cpu.lo = previous;
  },

  awaitTurn: (cpu, self) =>
    cpu.cond32(
      cpu.perCpuHi(cpu.id),
      nodeAt(cpu, self) + SPIN,
      Condition.NotEqual,
      -1,
      0,
      Order.Acquire,
    ),

  *findLocal(cpu, self, next, spin) {
    let last = 0;
    let at = next;
    while (at !== 0) {
      while (!load(cpu, at, NUMA)) yield;
      if (cpu.lo === cpu.node + 1) break;
      while (!load(cpu, at, QueueNode.Next)) yield;
      last = at;
      at = cpu.lo;
    }
    const found = at;
    if (found !== 0 && last !== 0) yield* moveToSecond(cpu, self, next, last, spin);
    cpu.lo = found;
  },

  emptyTail: (cpu, hi, lo, self) => cpu.cas32(hi, lo, self, 0, Order.Release),

  *promoteSecond(cpu, hi, lo, self, head) {
    while (!load(cpu, head, SECOND_TAIL)) yield;
    const last = cpu.lo;
    while (!cpu.cas32(hi, lo, self, last, Order.Release)) yield;
  },

  *splice(cpu, head, next) {
    while (!load(cpu, head, SECOND_TAIL)) yield;
    const last = cpu.lo;
    while (!store(cpu, last, QueueNode.Next, next)) yield;
  },

  handOver(cpu, next, spin, local) {
    const at = nodeAt(cpu, next) + SPIN;
    return cpu.store64(nodeHi(cpu, next), at, local, spin, Order.Release);
  },
};

/** Appends the waiters from `first` to `last` to the second queue. */
function* moveToSecond(cpu: Cpu, self: number, first: number, last: number, spin: number): Program {
  let head = secondHead(spin);
  notePassed(cpu, head === 0 ? Passed.secondary : Passed.appended);
  if (head === 0) {
    head = first;
    while (!store(cpu, self, SPIN, head + 1)) yield;
  } else {
    while (!load(cpu, head, SECOND_TAIL)) yield;
    const end = cpu.lo;
    while (!store(cpu, end, QueueNode.Next, first)) yield;
  }
  while (!store(cpu, last, QueueNode.Next, 0)) yield;
  while (!store(cpu, head, SECOND_TAIL, last)) yield;
}

/** The owner gives the lock away; its node can be taken back afterwards. */
function* leave(cpu: Cpu, hi: number, lo: number, self: number, steps: CnaSteps): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const node = nodeAt(cpu, self);
  while (!cpu.load64(ownHi, node + SPIN, Order.Relaxed)) yield;
  let spin = cpu.lo;
  const local = cpu.hi;
  while (!load(cpu, self, QueueNode.Next)) yield;
  if (cpu.lo === 0) {
    const head = secondHead(spin);
    if (head === 0) {
      while (!steps.emptyTail(cpu, hi, lo, self)) yield;
      if (cpu.ok) {
        notePassed(cpu, Passed.emptied);
        return;
      }
    } else {
      yield* steps.promoteSecond(cpu, hi, lo, self, head);
      notePassed(cpu, cpu.ok ? Passed.promoted : Passed.promoteLost);
      if (cpu.ok) {
        while (!steps.handOver(cpu, head, GRANTED, 0)) yield;
        return;
      }
    }
    notePassed(cpu, Passed.late);
    const at = node + QueueNode.Next;
    while (!cpu.cond32(ownHi, at, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
  }
  const next = cpu.lo;
  if (steps.stayLocal(local)) {
    yield* steps.findLocal(cpu, self, next, spin);
    const found = cpu.lo;
    if (found !== 0) {
      notePassed(cpu, Passed.local);
      while (!load(cpu, self, SPIN)) yield;
      spin = cpu.lo;
      while (!steps.handOver(cpu, found, spin, local + 1)) yield;
      return;
    }
  } else {
    notePassed(cpu, Passed.forced);
  }
  const head = secondHead(spin);
  if (head !== 0) {
    notePassed(cpu, Passed.spliced);
    yield* steps.splice(cpu, head, next);
  }
  const heir = head === 0 ? next : head;
  while (!steps.handOver(cpu, heir, GRANTED, 0)) yield;
}

export function makeCnaLock(steps: CnaSteps = cnaSteps): Lock {
  return {
    name: 'cna',
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
      const contended = cpu.lo !== 0;
      if (contended) notePassed(cpu, Passed.waited);
      if (contended) while (!steps.awaitTurn(cpu, self)) yield;
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
