/**
 * Where RCU keeps its words, shared by readers (rcu.ts) and grace periods (rcu-callbacks.ts).
 *
 * Each CPU owns four lines in PerCpu.Rcu:
 *   0    rcu_read_lock_nesting, touched by its CPU alone
 *   64   the watching counter (context_tracking.state): odd while the CPU runs kernel or user code
 *        that may hold read-side sections, even in an extended quiescent state. Read by others.
 *   128  callbacks: number queued (4), grace period that the waiting ones need (4), then first and
 *        last of the newly queued and first of the waiting ones (8 each)
 *   192  for the tree (rcu-tree.ts): the grace period that the CPU knows of, what it owes to it
 * and, from 256 on, a line per SRCU domain.
 *
 * struct rcu_state is one object on a node: gp_seq alone on its line, then the line of the lock and
 * the count of CPUs not yet quiescent, then a word per CPU with the counter that was seen when the
 * grace period began (0: quiescent since).
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { PerCpu } from '../../cpu/per-cpu.ts';

export const RcuCpu = {
  Nesting: PerCpu.Rcu,
  Watching: PerCpu.Rcu + 64,
  Queued: PerCpu.Rcu + 128,
  WaitSequence: PerCpu.Rcu + 132,
  NextFirst: PerCpu.Rcu + 136,
  NextLast: PerCpu.Rcu + 144,
  WaitFirst: PerCpu.Rcu + 152,
  TreeSequence: PerCpu.Rcu + 192,
  TreeNeeds: PerCpu.Rcu + 196,
  Srcu: PerCpu.Rcu + 256,
} as const;

export const SRCU_DOMAINS_MAX = (PerCpu.PageLists - RcuCpu.Srcu) / 64;

export const RcuGlobal = { Sequence: 0, Lock: 64, Missing: 68, Seen: 128 } as const;

export function rcuStateBytes(cpuCount: number): number {
  return RcuGlobal.Seen + Math.ceil(cpuCount / 16) * 64;
}

/** Address (low half) of a word of a CPU's own area. */
export function ownWord(cpu: Cpu, offset: number): number {
  return (cpu.perCpuLo(cpu.id) + offset) | 0;
}

export function wordOf(cpu: Cpu, owner: number, offset: number): number {
  return (cpu.perCpuLo(owner) + offset) | 0;
}

/** gp_seq: odd while a grace period runs (RCU_SEQ_CTR_SHIFT is 1 here, 2 in Linux). */
export function isRunning(sequence: number): boolean {
  return (sequence & 1) !== 0;
}

/** rcu_seq_snap: the value of gp_seq by which a full grace period from now on has ended. */
export function fullPeriodAfter(sequence: number): number {
  return ((sequence + 3) & ~1) | 0;
}

/** rcu_seq_done. */
export function isReached(sequence: number, wanted: number): boolean {
  return ((sequence - wanted) | 0) >= 0;
}
