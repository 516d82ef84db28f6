/**
 * Sections of a few accesses between looking at a shared word and acting on it, and a grace period
 * over them: what preempt_disable and synchronize_rcu are to a percpu_rw_semaphore.
 * Source: the "memory barrier" flavour of user-space RCU (Desnoyers, McKenney, Stern, Dagenais,
 * Walpole, IEEE TPDS 2012): counters of the readers' own, a full barrier when a section begins.
 * Invariant: the word of a CPU is odd while it is inside; who waits has made his change visible
 * before he reads the words, so a section that he doesn't see begins after the change.
 * Line transfers: 0 per section, one per CPU and wait and one back.
 * Deviation from the kernel: its sections cost nothing, because a grace period waits for a context
 * switch on every CPU; CPUs here have no tick that would end it.
 * Sections don't nest: the caller masks interrupts.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

function* move(cpu: Cpu, order: Order): Program {
  const own = nodeLo(cpu, cpu.id, LockNode.EntrySection);
  const hi = cpu.perCpuHi(cpu.id);
  while (!cpu.load32(hi, own, Order.Relaxed)) yield;
  const next = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, own, next, order)) yield;
}

export function* enterSection(cpu: Cpu): Program {
  yield* move(cpu, Order.Relaxed);
  while (!cpu.fence(Fence.DmbIsh)) yield;
}

export function* leaveSection(cpu: Cpu): Program {
  yield* move(cpu, Order.Release);
}

/** Returns when every section of another CPU that is open now has ended. */
export function* waitForSections(cpu: Cpu): Program {
  while (!cpu.fence(Fence.DmbIsh)) yield;
  for (let other = 0; other < cpu.cpuCount; other++) {
    if (other === cpu.id) continue;
    const hi = cpu.perCpuHi(other);
    const at = nodeLo(cpu, other, LockNode.EntrySection);
    while (!cpu.load32(hi, at, Order.Acquire)) yield;
    const seen = cpu.lo;
    if ((seen & 1) === 0) continue;
    while (!cpu.cond32(hi, at, Condition.NotEqual, -1, seen, Order.Acquire)) yield;
  }
}
