/**
 * Going to sleep and being woken: the state of the task on each CPU, which decides whether a sleep
 * sleeps. A CPU runs one task; sleeping is the CPU's idle.
 * Source: include/linux/sched.h (set_current_state), kernel/sched/core.c (try_to_wake_up,
 * schedule).
 * Invariant: a task that has set its state and then looked at its condition doesn't miss a wake-up
 * by somebody who changed the condition first: one of the two full barriers comes first.
 * Line transfers per sleep: 2, the state to the waker and back, and the wake-up itself.
 * Deviation: no run queue; a woken task runs at once.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Fence, Order } from '../cpu/operations.ts';
import { PerCpu } from '../cpu/per-cpu.ts';
import { Cost } from '../machine/costs.ts';
import { nodeLo } from './lock-nodes.ts';

export const TaskState = { Running: 0, Sleeping: 2 } as const;
export type TaskState = (typeof TaskState)[keyof typeof TaskState];

/** On a line of its own; the line before it is the wait-queue entry's. */
export const TASK_STATE = PerCpu.Task + 64;

/** __set_current_state: no barrier, enough for going back to Running. */
export function storeTaskState(cpu: Cpu, state: TaskState): boolean {
  return cpu.store32(cpu.perCpuHi(cpu.id), nodeLo(cpu, cpu.id, TASK_STATE), state, Order.Relaxed);
}

/** set_current_state: what is looked at afterwards is not older than the state. */
export function* setTaskState(cpu: Cpu, state: TaskState): Program {
  while (!storeTaskState(cpu, state)) yield;
  while (!cpu.fence(Fence.DmbIsh)) yield;
}

/** schedule: returns at once if somebody has set the state to Running since. */
export function* sleepTask(cpu: Cpu): Program {
  const own = nodeLo(cpu, cpu.id, TASK_STATE);
  for (;;) {
    while (!cpu.load32(cpu.perCpuHi(cpu.id), own, Order.Acquire)) yield;
    if (cpu.lo === TaskState.Running) return;
    cpu.spend(Cost.ContextSwitch);
    while (!cpu.idle()) yield;
    cpu.spend(Cost.TaskWake);
  }
}

/** try_to_wake_up; result in cpu.ret: 1 = the task of that CPU slept, or was about to. */
export function* wakeTask(cpu: Cpu, target: number): Program {
  const at = nodeLo(cpu, target, TASK_STATE);
  const { Sleeping, Running } = TaskState;
  const hi = cpu.perCpuHi(target);
  while (!cpu.cas32(hi, at, Sleeping, Running, Order.SequentiallyConsistent)) yield;
  const slept = cpu.ok;
  if (slept) while (!cpu.wake(target)) yield;
  cpu.ret = slept ? 1 : 0;
}
