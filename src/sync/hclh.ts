/**
 * HCLH, a hierarchy of CLH queues: waiters of a NUMA node queue up among themselves, and the first
 * of them appends the whole piece to the global queue.
 * Source: V. Luchangco, D. Nussbaum, N. Shavit, "A Hierarchical CLH Queue Lock", Euro-Par 2006;
 * M. Herlihy, N. Shavit, "The Art of Multiprocessor Programming", section 7.8.2.
 * Invariants: the global queue is FIFO; a waiter goes on either because its predecessor in the same
 * piece released, or because its predecessor ended a piece and it leads the next one; nodes in
 * circulation = one per CPU and one more, for each lock.
 * Line transfers per hand-over, arrival included: 4 to 5 (both tails, the predecessor's node to the
 * waiter, the own one back for a new word), between nodes at the ends of pieces.
 * Deviations: the leader appends its piece at once, where the paper lets it wait for more to come;
 * nodes belong to the lock (as the book's thread-local variables do), because a node that came back
 * through another lock would deceive a waiter that has not looked at it yet.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { addBytes, nodeOf, toLinear } from '../memory/physical-address.ts';
import { bootBlocks, loadBlock, loadTable } from './boot-blocks.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';

/** The lock: tail of the global queue (an address); on a line of its own, the blocks. */
const GLOBAL_TAIL = 0;
const TABLE = 64;
const LOCK_BYTES = 72;
/** A CPU's block: its free node (an address), the one that it owns the lock with; first node. */
const FREE_NODE = 0;
const OWNER_NODE = 8;
const FIRST_NODE = 64;
const BLOCK_BYTES = 128;
/** Word of a node: NUMA node + 1 of the waiter, and these. */
const SUCCESSOR_MUST_WAIT = 1 << 30;
const TAIL_WHEN_SPLICED = 1 << 29;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  followed: lockBranch('hclh', 'followed its neighbour in the same piece', [3, 1]),
  waited: lockBranch('hclh', 'waited for the piece before', [2, 1]),
  free: lockBranch('hclh', 'found the piece before released', [2, 1]),
} as const;

/** Steps that are no programs are one attempt each. */
export interface HclhSteps {
  /** Queues the node in its NUMA node; result in cpu.hi, cpu.lo: the one before it, hi 0 = none. */
  enqueue(cpu: Cpu, tailHi: number, tailLo: number, nodeHi: number, nodeLo: number): Program;
  /** Result in cpu.lo: the word of the node before, once it released or ended its piece. */
  waitLocal(cpu: Cpu, previousHi: number, previousLo: number): boolean;
  /** Appends the piece that ends with this node; result in cpu.hi, cpu.lo: the node before it. */
  splice(cpu: Cpu, hi: number, lo: number, lastHi: number, lastLo: number): boolean;
  /** The node is the last of its piece: its local successor leads the next one. */
  markTail(cpu: Cpu, nodeHi: number, nodeLo: number): boolean;
  waitGlobal(cpu: Cpu, previousHi: number, previousLo: number): boolean;
  handOver(cpu: Cpu, nodeHi: number, nodeLo: number): boolean;
}

export const hclhSteps: HclhSteps = {
  *enqueue(cpu, tailHi, tailLo, nodeHi, nodeLo) {
    const word = (cpu.node + 1) | SUCCESSOR_MUST_WAIT;
    while (!cpu.store32(nodeHi, nodeLo, word, Order.Relaxed)) yield;
    while (!cpu.swap64(tailHi, tailLo, nodeHi, nodeLo, Order.AcquireRelease)) yield;
  },

  waitLocal(cpu, previousHi, previousLo) {
    const waiting = (cpu.node + 1) | SUCCESSOR_MUST_WAIT;
    return cpu.cond32(previousHi, previousLo, Condition.NotEqual, -1, waiting, Order.Acquire);
  },

  splice: (cpu, hi, lo, lastHi, lastLo) =>
    cpu.swap64(hi, lo + GLOBAL_TAIL, lastHi, lastLo, Order.AcquireRelease),

  markTail: (cpu, nodeHi, nodeLo) => cpu.set32(nodeHi, nodeLo, TAIL_WHEN_SPLICED, Order.Release),

  waitGlobal: (cpu, previousHi, previousLo) =>
    cpu.cond32(
      previousHi,
      previousLo,
      Condition.AnyBitClear,
      SUCCESSOR_MUST_WAIT,
      0,
      Order.Acquire,
    ),

  handOver: (cpu, nodeHi, nodeLo) =>
    cpu.clear32(nodeHi, nodeLo, SUCCESSOR_MUST_WAIT, Order.Release),
};

/**
 * Appends the piece that this CPU leads and waits for those before it; results: cpu.hi, cpu.lo =
 * the node before ours, cpu.ret = 1 if it had to wait.
 */
function* lead(
  cpu: Cpu,
  hi: number,
  lo: number,
  tailHi: number,
  tailLo: number,
  steps: HclhSteps,
): Program {
  while (!cpu.load64(tailHi, tailLo, Order.Acquire)) yield;
  const lastHi = cpu.hi;
  const lastLo = cpu.lo;
  while (!steps.splice(cpu, hi, lo, lastHi, lastLo)) yield;
  const previousHi = cpu.hi;
  const previousLo = cpu.lo;
  // Before we own the lock, so before anybody can have taken that node over.
  while (!steps.markTail(cpu, lastHi, lastLo)) yield;
  while (!cpu.load32(previousHi, previousLo, Order.Acquire)) yield;
  const mustWait = (cpu.lo & SUCCESSOR_MUST_WAIT) !== 0;
  notePassed(cpu, mustWait ? Passed.waited : Passed.free);
  if (mustWait) while (!steps.waitGlobal(cpu, previousHi, previousLo)) yield;
  cpu.hi = previousHi;
  cpu.lo = previousLo;
  cpu.ret = mustWait ? 1 : 0;
}

export function makeHclhLock(steps: HclhSteps = hclhSteps): Lock {
  return {
    name: 'hclh',
    bytes: LOCK_BYTES,
    bytesPerCpu: BLOCK_BYTES + 8,
    bytesPerNode: BLOCK_BYTES + 8,
    branches: Object.values(Passed),

    /** Blocks of the CPUs, then the tails of the nodes' queues. */
    init(boot, physical) {
      const { nodeOfCpu, nodeCount, cpuCount } = boot.machine;
      const nodes = [...nodeOfCpu, ...Array(nodeCount).keys()];
      const blocks = bootBlocks(boot, physical, TABLE, nodes, BLOCK_BYTES);
      for (const block of blocks.slice(0, cpuCount)) {
        const { hi, lo } = toLinear(addBytes(block, FIRST_NODE));
        boot.write64(block, FREE_NODE, hi, lo);
      }
      const released = toLinear(boot.allocate(nodeOf(physical.hi), 64));
      boot.write64(physical, GLOBAL_TAIL, released.hi, released.lo);
    },

    *acquire(cpu, hi, lo) {
      while (!loadTable(cpu, hi, lo, TABLE)) yield;
      const tableHi = cpu.hi;
      const tableLo = cpu.lo;
      while (!loadBlock(cpu, tableHi, tableLo, cpu.cpuCount + cpu.node)) yield;
      const tailHi = cpu.hi;
      const tailLo = cpu.lo;
      while (!loadBlock(cpu, tableHi, tableLo, cpu.id)) yield;
      const blockHi = cpu.hi;
      const blockLo = cpu.lo;
      while (!cpu.load64(blockHi, blockLo + FREE_NODE, Order.Relaxed)) yield;
      const ownHi = cpu.hi;
      const ownLo = cpu.lo;
      yield* steps.enqueue(cpu, tailHi, tailLo, ownHi, ownLo);
      const localHi = cpu.hi;
      const localLo = cpu.lo;
      let previousHi = localHi;
      let previousLo = localLo;
      if (localHi !== 0) while (!steps.waitLocal(cpu, localHi, localLo)) yield;
      let contended = localHi !== 0;
      if (localHi === 0 || cpu.lo !== cpu.node + 1) {
        yield* lead(cpu, hi, lo, tailHi, tailLo, steps);
        previousHi = cpu.hi;
        previousLo = cpu.lo;
        contended ||= cpu.ret !== 0;
      } else notePassed(cpu, Passed.followed);
      // The node before ours is ours from here on; ours is the successor's to take.
      while (!cpu.store64(blockHi, blockLo + FREE_NODE, previousHi, previousLo, Order.Relaxed))
        yield;
      while (!cpu.store64(blockHi, blockLo + OWNER_NODE, ownHi, ownLo, Order.Relaxed)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      while (!loadTable(cpu, hi, lo, TABLE)) yield;
      const tableHi = cpu.hi;
      const tableLo = cpu.lo;
      while (!loadBlock(cpu, tableHi, tableLo, cpu.id)) yield;
      const blockHi = cpu.hi;
      const blockLo = cpu.lo;
      while (!cpu.load64(blockHi, blockLo + OWNER_NODE, Order.Relaxed)) yield;
      const ownHi = cpu.hi;
      const ownLo = cpu.lo;
      noteReleased(cpu, hi, lo);
      while (!steps.handOver(cpu, ownHi, ownLo)) yield;
    },
  };
}
