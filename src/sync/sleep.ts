/**
 * What sleeping locks share: the task leaves its CPU until it is woken, and wakes others.
 * Source: kernel/sched/core.c (schedule, try_to_wake_up), wake_q_add and wake_up_q.
 * Deviation: a CPU runs one task, so a sleeping task is an idle CPU; a wake-up that comes before
 * the task sleeps makes it return at once, as the task state that is set before the last check
 * does in the kernel. Whoever sleeps looks at its condition again: wake-ups may be stale.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Cost } from '../machine/costs.ts';

export function* sleepUntilWoken(cpu: Cpu): Program {
  cpu.spend(Cost.ContextSwitch);
  while (!cpu.idle()) yield;
  cpu.spend(Cost.TaskWake);
}
