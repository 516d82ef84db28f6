/**
 * Who owns which bytes of PerCpu.LockNodes, the stretch of each CPU's area that locks queue with.
 * Nodes that other CPUs spin on have a line each; only qspinlock packs its four into one line, as
 * the kernel does (kernel/locking/qspinlock.c: "exactly fits one 64-byte cacheline").
 */

import type { Cpu } from '../cpu/cpu.ts';
import { PerCpu } from '../cpu/per-cpu.ts';

export const LockNode = {
  /** Four nodes of 16 bytes. */
  Queued: PerCpu.LockNodes,
  /** Eight nodes of a line each. */
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
  /** Is this CPU between looking at a lock's state and counting itself in (entry-section.ts)? */
  EntrySection: PerCpu.LockNodes + 2048,
  /** Hazard pointers of the CPU, eight of 8 bytes, and what it has retired: 65 of 8 bytes. */
  Hazards: PerCpu.LockNodes + 2112,
  Retired: PerCpu.LockNodes + 2176,
  /** What a lock from a user's own file may use (user-cpu.ts): the last bytes of the stretch. */
  User: PerCpu.LockNodes + 3584,
} as const;

export const USER_NODE_BYTES = 512;

/**
 * Low half of a place in a CPU's area; the area never crosses 4 GiB, so the high half is the
 * same.
 */
export function nodeLo(cpu: Cpu, owner: number, offset: number): number {
  return (cpu.perCpuLo(owner) + offset) | 0;
}
