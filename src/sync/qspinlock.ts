/**
 * The kernel's queued spinlock: locked byte, pending bit for the second CPU, MCS queue from the
 * third on, all in one 32-bit word.
 * Source: kernel/locking/qspinlock.c, include/asm-generic/qspinlock.h (queued_spin_lock_slowpath),
 * NR_CPUS < 16K: locked bits 0-7, pending byte 8-15, tail index 16-17, tail CPU + 1 18-31.
 * Invariants: only the owner clears `locked`; only the pending CPU or the queue head sets it; the
 * tail names the last queued node; a CPU nests at most four acquisitions in the queue.
 * Line transfers per hand-over, arrival included: 3 with two CPUs (no node touched); with more, 8
 * whatever n: the word to the owner, to the head and to who arrives, two nodes there and back.
 * Deviation: node references are the tail code (CPU, index) instead of pointers.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import {
  distantBranch,
  lockBranch,
  noteAcquired,
  notePassed,
  noteReleased,
} from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

const LOCKED = 1;
const LOCKED_MASK = 0xff;
const PENDING = 1 << 8;
const PENDING_MASK = 0xff00;
const LOCKED_PENDING_MASK = 0xffff;
const TAIL_SHIFT = 16;
const TAIL_MASK = 0xffff0000 | 0;
const NODES = 4;

/** Words of a node (16 bytes); `count`, the nesting depth, is used in node 0 only. */
const NEXT = 0;
const MCS_LOCKED = 8;
const COUNT = 12;
const NODE_BYTES = 16;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const QueuedBranch = {
  pending: lockBranch('qspinlock', 'pending bit taken', [2, 1]),
  handedOver: lockBranch('qspinlock', 'met the hand-over from owner to pending', [3, 1], [2, 2]),
  undone: lockBranch('qspinlock', 'pending bit taken back', [4, 1], [3, 2]),
  queued: lockBranch('qspinlock', 'queue joined as its head', [3, 1]),
  free: lockBranch('qspinlock', 'lock taken on the way into the queue', [3, 1]),
  behind: lockBranch('qspinlock', 'waited behind another in the queue', [4, 1], [3, 2]),
  emptied: lockBranch('qspinlock', 'left an empty queue', [3, 1]),
  tailMoved: lockBranch('qspinlock', 'tail moved while the head left', [4, 1], [3, 2]),
  late: lockBranch('qspinlock', 'successor not linked yet', [4, 1], [3, 2]),
  handed: lockBranch('qspinlock', 'head handed over', [4, 1], [3, 2]),
  nested: distantBranch(
    'qspinlock',
    'second node of a CPU',
    'takes a handler that interrupts a CPU in the queue',
  ),
  fallback: distantBranch(
    'qspinlock',
    'more nesting than nodes',
    'takes four handlers, each in the queue',
  ),
} as const;

export interface QueuedSteps {
  /** Sets pending; result in cpu.lo: the word before. */
  setPending(cpu: Cpu, hi: number, lo: number): Program;
  /** Pending is ours: waits for the owner, then turns pending into locked. */
  waitPending(cpu: Cpu, hi: number, lo: number, word: number): Program;
  /** Clears pending that we set though others contend. */
  undoPending(cpu: Cpu, hi: number, lo: number): Program;
  /** The node of an acquisition that `depth` others of this CPU are under; -1 = none is left. */
  nodeIndex(depth: number): number;
  prepareNode(cpu: Cpu, node: number): Program;
  /** Result in cpu.lo: tail before, as a 16-bit code; 0 = the queue was empty. */
  swapTail(cpu: Cpu, hi: number, lo: number, tail: number): Program;
  waitForTurn(cpu: Cpu, node: number, tail: number, previous: number): Program;
  /** The head of the queue waits for owner and pending; result in cpu.lo: the word then. */
  waitHead(cpu: Cpu, hi: number, lo: number): Program;
  /** The last in the queue: LOCKED in place of the whole word; cpu.ok = done. */
  lockAndEmpty(cpu: Cpu, hi: number, lo: number, word: number): Program;
  setLocked(cpu: Cpu, hi: number, lo: number): Program;
  handOver(cpu: Cpu, node: number): Program;
  /** One attempt. */
  unlock(cpu: Cpu, hi: number, lo: number): boolean;
}

/** 16-bit code of a node: never 0. */
function tailOf(cpuId: number, index: number): number {
  return ((cpuId + 1) << 2) | index;
}

function ownerOf(tail: number): number {
  return (tail >>> 2) - 1;
}

function nodeOf(cpu: Cpu, tail: number): number {
  return nodeLo(cpu, ownerOf(tail), LockNode.Queued + (tail & 3) * NODE_BYTES);
}

export const queuedSteps: QueuedSteps = {
  *setPending(cpu, hi, lo) {
    while (!cpu.set32(hi, lo, PENDING, Order.Acquire)) yield;
  },

  *waitPending(cpu, hi, lo, word) {
    if ((word & LOCKED_MASK) !== 0) {
      while (!cpu.cond32(hi, lo, Condition.Equal, LOCKED_MASK, 0, Order.Acquire)) yield;
    }
    while (!cpu.store16(hi, lo, LOCKED, Order.Relaxed)) yield;
  },

  *undoPending(cpu, hi, lo) {
    while (!cpu.store8(hi, lo + 1, 0, Order.Relaxed)) yield;
  },

  nodeIndex: (depth) => (depth < NODES ? depth : -1),

  *prepareNode(cpu, node) {
    const ownHi = cpu.perCpuHi(cpu.id);
    while (!cpu.store32(ownHi, node + MCS_LOCKED, 0, Order.Relaxed)) yield;
    while (!cpu.store32(ownHi, node + NEXT, 0, Order.Relaxed)) yield;
  },

  *swapTail(cpu, hi, lo, tail) {
    // smp_wmb: the node is initialised before it can be found through the tail.
    while (!cpu.swap16(hi, lo + 2, tail, Order.Release)) yield;
  },

  *waitForTurn(cpu, node, tail, previous) {
    const ownHi = cpu.perCpuHi(cpu.id);
    const previousHi = cpu.perCpuHi(ownerOf(previous));
    const previousLo = nodeOf(cpu, previous);
    while (!cpu.store32(previousHi, previousLo + NEXT, tail, Order.Relaxed)) yield;
    while (!cpu.cond32(ownHi, node + MCS_LOCKED, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
  },

  *waitHead(cpu, hi, lo) {
    while (!cpu.cond32(hi, lo, Condition.Equal, LOCKED_PENDING_MASK, 0, Order.Acquire)) yield;
  },

  *lockAndEmpty(cpu, hi, lo, word) {
    while (!cpu.cas32(hi, lo, word, LOCKED, Order.Relaxed)) yield;
  },

  *setLocked(cpu, hi, lo) {
    while (!cpu.store8(hi, lo, LOCKED, Order.Relaxed)) yield;
  },

  *handOver(cpu, node) {
    const ownHi = cpu.perCpuHi(cpu.id);
    while (!cpu.load32(ownHi, node + NEXT, Order.Relaxed)) yield;
    if (cpu.lo === 0) {
      notePassed(cpu, QueuedBranch.late);
      while (!cpu.cond32(ownHi, node + NEXT, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
    }
    const next = cpu.lo;
    const nextHi = cpu.perCpuHi(ownerOf(next));
    const nextLo = nodeOf(cpu, next);
    while (!cpu.store32(nextHi, nextLo + MCS_LOCKED, 1, Order.Release)) yield;
  },

  unlock: (cpu, hi, lo) => cpu.store8(hi, lo, 0, Order.Release),
};

/** queued_spin_lock without events; result in cpu.ret: 1 = it had to wait. */
export function* queuedSpinLock(
  cpu: Cpu,
  hi: number,
  lo: number,
  steps: QueuedSteps = queuedSteps,
): Program {
  while (!cpu.cas32(hi, lo, 0, LOCKED, Order.Acquire)) yield;
  cpu.ret = 0;
  if (cpu.ok) return;
  yield* slowPath(cpu, hi, lo, cpu.lo, steps);
  cpu.ret = 1;
}

/** queued_spin_trylock; result in cpu.ret: 1 = taken. */
export function* queuedSpinTryLock(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  cpu.ret = 0;
  if (cpu.lo !== 0) return;
  while (!cpu.cas32(hi, lo, 0, LOCKED, Order.Acquire)) yield;
  cpu.ret = cpu.ok ? 1 : 0;
}

/** One attempt. */
export function queuedSpinUnlock(cpu: Cpu, hi: number, lo: number): boolean {
  return queuedSteps.unlock(cpu, hi, lo);
}

function* slowPath(cpu: Cpu, hi: number, lo: number, seen: number, steps: QueuedSteps): Program {
  let word = seen;
  if (word === PENDING) {
    notePassed(cpu, QueuedBranch.handedOver);
    // The lock is being handed from owner to pending CPU: wait for it (_Q_PENDING_LOOPS = 1).
    while (!cpu.cond32(hi, lo, Condition.NotEqual, -1, PENDING, Order.Relaxed)) yield;
    word = cpu.lo;
  }
  if ((word & ~LOCKED_MASK) === 0) {
    yield* steps.setPending(cpu, hi, lo);
    word = cpu.lo;
    if ((word & ~LOCKED_MASK) === 0) {
      notePassed(cpu, QueuedBranch.pending);
      yield* steps.waitPending(cpu, hi, lo, word);
      return;
    }
    if ((word & PENDING_MASK) === 0) {
      notePassed(cpu, QueuedBranch.undone);
      yield* steps.undoPending(cpu, hi, lo);
    }
  }
  yield* queue(cpu, hi, lo, steps);
}

function* queue(cpu: Cpu, hi: number, lo: number, steps: QueuedSteps): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const nodes = nodeLo(cpu, cpu.id, LockNode.Queued);
  while (!cpu.load32(ownHi, nodes + COUNT, Order.Relaxed)) yield;
  const depth = cpu.lo;
  while (!cpu.store32(ownHi, nodes + COUNT, depth + 1, Order.Relaxed)) yield;
  const index = steps.nodeIndex(depth);
  if (depth > 0) notePassed(cpu, index < 0 ? QueuedBranch.fallback : QueuedBranch.nested);
  if (index < 0) {
    // More nesting than nodes (nested NMIs): spin for the lock without a node.
    do yield* queuedSpinTryLock(cpu, hi, lo);
    while (cpu.ret === 0);
  } else {
    yield* queueWithNode(cpu, hi, lo, index, steps);
  }
  while (!cpu.store32(ownHi, nodes + COUNT, depth, Order.Relaxed)) yield;
}

function* queueWithNode(
  cpu: Cpu,
  hi: number,
  lo: number,
  index: number,
  steps: QueuedSteps,
): Program {
  const tail = tailOf(cpu.id, index);
  const node = nodeOf(cpu, tail);
  yield* steps.prepareNode(cpu, node);
  yield* queuedSpinTryLock(cpu, hi, lo);
  if (cpu.ret === 1) {
    notePassed(cpu, QueuedBranch.free);
    return;
  }
  yield* steps.swapTail(cpu, hi, lo, tail);
  const previous = cpu.lo;
  notePassed(cpu, previous === 0 ? QueuedBranch.queued : QueuedBranch.behind);
  if (previous !== 0) yield* steps.waitForTurn(cpu, node, tail, previous);
  yield* steps.waitHead(cpu, hi, lo);
  const word = cpu.lo;
  if ((word & TAIL_MASK) === tail << TAIL_SHIFT) {
    yield* steps.lockAndEmpty(cpu, hi, lo, word);
    notePassed(cpu, cpu.ok ? QueuedBranch.emptied : QueuedBranch.tailMoved);
    if (cpu.ok) return;
  }
  notePassed(cpu, QueuedBranch.handed);
  yield* steps.setLocked(cpu, hi, lo);
  yield* steps.handOver(cpu, node);
}

export function makeQueuedSpinlock(steps: QueuedSteps = queuedSteps): Lock {
  return {
    name: 'qspinlock',
    bytes: 4,
    branches: Object.values(QueuedBranch),

    *acquire(cpu, hi, lo) {
      while (!cpu.cas32(hi, lo, 0, LOCKED, Order.Acquire)) yield;
      const contended = !cpu.ok;
      if (contended) yield* slowPath(cpu, hi, lo, cpu.lo, steps);
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.unlock(cpu, hi, lo)) yield;
    },
  };
}
