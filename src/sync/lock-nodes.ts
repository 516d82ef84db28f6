/**
 * Who owns which bytes of PerCpu.LockNodes, the stretch of each CPU's area that locks queue with.
 * Nodes that other CPUs spin on have a line each; only qspinlock packs its four into one line, as
 * the kernel does (kernel/locking/qspinlock.c: "exactly fits one 64-byte cacheline").
 */

import { assert } from '../base/assert.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { PerCpu } from '../cpu/per-cpu.ts';

export const LockNode = {
  /** Four nodes of 16 bytes. */
  Queued: PerCpu.LockNodes,
  /** Eight nodes of a line each (queue-node.ts): MCS, CNA, cohort and HMCS locks. */
  Mcs: PerCpu.LockNodes + 64,
  /** Addresses of the free nodes and the nesting count, then four nodes of a line each. */
  ClhFree: PerCpu.LockNodes + 576,
  Clh: PerCpu.LockNodes + 640,
  /** One node: a CPU spins for one sleeping lock at a time. */
  OptimisticSpin: PerCpu.LockNodes + 896,
  /** One waiter: a task sleeps for one rw_semaphore at a time. */
  RwsemWaiter: PerCpu.LockNodes + 960,
  /** Visible-readers slots of BRAVO, eight of 8 bytes. */
  VisibleReaders: PerCpu.LockNodes + 1024,
  /** Nesting depth of K42 acquisitions, then four nodes of a line each. */
  K42Depth: PerCpu.LockNodes + 1088,
  K42: PerCpu.LockNodes + 1152,
  /** HemLock: the address of the lock that this CPU hands over. */
  Grant: PerCpu.LockNodes + 1408,
  /** This CPU's line of TWA's waiting array, 16 words. */
  WaitingArray: PerCpu.LockNodes + 1472,
  /** One waiter each: a task sleeps for one lock at a time. */
  MutexWaiter: PerCpu.LockNodes + 1536,
  FutexWaiter: PerCpu.LockNodes + 1600,
  RtWaiter: PerCpu.LockNodes + 1664,
  /** Boost and number of rt_mutexes held of the task on this CPU. */
  RtTask: PerCpu.LockNodes + 1728,
  /** This CPU's bucket of the futex hash table. */
  FutexBucket: PerCpu.LockNodes + 1792,
  /** Is this CPU between looking at a lock's state and counting itself in (entry-section.ts)? */
  EntrySection: PerCpu.LockNodes + 2048,
  /** Hazard pointers of the CPU, eight of 8 bytes, and what it has retired: 65 of 8 bytes. */
  Hazards: PerCpu.LockNodes + 2112,
  Retired: PerCpu.LockNodes + 2176,
  /** What a lock from a user's own file may use (user-cpu.ts): the last bytes of the stretch. */
  User: PerCpu.LockNodes + 3584,
} as const;

export const USER_NODE_BYTES = 512;

/** One past the last byte of the nodes above EntrySection. */
const QUEUE_NODES_END = PerCpu.LockNodes + 1856;
assert(QUEUE_NODES_END <= LockNode.EntrySection, 'queue nodes overlap entry sections');

/**
 * Low half of a place in a CPU's area; the area never crosses 4 GiB, so the high half is the
 * same.
 */
export function nodeLo(cpu: Cpu, owner: number, offset: number): number {
  return (cpu.perCpuLo(owner) + offset) | 0;
}
