/**
 * Read side of RCU and quiescent states (Linux kernel/rcu/tree.c, include/linux/rcupdate.h,
 * kernel/context_tracking.c). A read-side section writes one word of its own CPU. A CPU tells by a
 * counter that it has passed a quiescent state; what grace periods do with it is rcu-callbacks.ts.
 *
 * A CPU starts in an extended quiescent state (memory is zeroed): a program that enters read-side
 * sections begins with rcuExitIdle and ends with Rcu.finish. CPUs that are idle, have finished, are
 * in a guest or never started hold up nobody.
 *
 * Deviations: no scheduling-clock tick, so a CPU that neither enters a guest, nor idles, nor calls
 * rcuQuiescent holds up grace periods; guest mode is extended quiescence as with context tracking
 * (without it Linux notes one quiescent state at guest entry).
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { ownWord, RcuCpu } from './rcu-state.ts';

/** rcu_read_lock: nests. */
export function* rcuReadLock(cpu: Cpu): Program {
  while (!rcuReadDepth(cpu)) yield;
  const depth = cpu.ret;
  while (!rcuNest(cpu, depth)) yield;
}

/** The second access of rcuReadLock; `depth` = what rcuReadDepth found. */
export function rcuNest(cpu: Cpu, depth: number): boolean {
  const nesting = ownWord(cpu, RcuCpu.Nesting);
  if (!cpu.store32(cpu.perCpuHi(cpu.id), nesting, depth + 1, Order.Relaxed)) return false;
  if (depth === 0) cpu.event(EventKind.RcuReadLock, 0, 0);
  return true;
}

/** rcu_read_unlock. */
export function* rcuReadUnlock(cpu: Cpu): Program {
  while (!rcuReadDepth(cpu)) yield;
  const depth = cpu.ret;
  assert(depth > 0, 'rcu_read_unlock() without rcu_read_lock()');
  if (depth === 1) cpu.event(EventKind.RcuReadUnlock, 0, 0);
  const nesting = ownWord(cpu, RcuCpu.Nesting);
  while (!cpu.store32(cpu.perCpuHi(cpu.id), nesting, depth - 1, Order.Release)) yield;
}

/** ret = depth of read-side sections of this CPU. */
export function rcuReadDepth(cpu: Cpu): boolean {
  if (!cpu.load32(cpu.perCpuHi(cpu.id), ownWord(cpu, RcuCpu.Nesting), Order.Relaxed)) return false;
  cpu.ret = cpu.lo;
  return true;
}

/**
 * Enters an extended quiescent state: before idle(), a guest, or the end (ct_kernel_exit). Every
 * access of earlier sections is performed before anybody sees the counter move.
 */
export function rcuEnterIdle(cpu: Cpu): boolean {
  const watching = ownWord(cpu, RcuCpu.Watching);
  const hi = cpu.perCpuHi(cpu.id);
  if (!cpu.add32(hi, watching, 1, Order.SequentiallyConsistent)) return false;
  assert((cpu.lo & 1) === 1, 'a CPU enters RCU idle twice');
  return true;
}

/** Leaves it (ct_kernel_enter): no access of later sections is performed before. */
export function rcuExitIdle(cpu: Cpu): boolean {
  const watching = ownWord(cpu, RcuCpu.Watching);
  const hi = cpu.perCpuHi(cpu.id);
  if (!cpu.add32(hi, watching, 1, Order.SequentiallyConsistent)) return false;
  assert((cpu.lo & 1) === 0, 'a CPU leaves RCU idle without having entered it');
  return true;
}

/** A momentary quiescent state outside read-side sections (rcu_momentary_eqs, cond_resched). */
export function rcuQuiescent(cpu: Cpu): boolean {
  const watching = ownWord(cpu, RcuCpu.Watching);
  const hi = cpu.perCpuHi(cpu.id);
  return cpu.add32(hi, watching, 2, Order.SequentiallyConsistent);
}

/** ret = 1 if the CPU is watched by RCU (not idle); for waits that are idle meanwhile. */
export function rcuIsWatching(cpu: Cpu): boolean {
  if (!cpu.load32(cpu.perCpuHi(cpu.id), ownWord(cpu, RcuCpu.Watching), Order.Relaxed)) return false;
  cpu.ret = cpu.lo & 1;
  return true;
}
