/**
 * How the VMM's main thread and the vCPU threads of the selftests keep step: a shared iteration
 * number that the main thread raises, and one last completed iteration per vCPU, packed into an
 * array as in the tests (sixteen to a line). Both sides poll; here the polls are conditional loads.
 * They wait in user space, where they hold up no RCU grace period.
 *
 * Deviation: host_quit is a value of the iteration word, because a conditional load watches one
 * word; in the tests the two are neighbours on one line.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Order } from '../../src/cpu/operations.ts';
import { rcuEnterIdle, rcuExitIdle } from '../../src/kernel/base/rcu.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { toLinear } from '../../src/memory/physical-address.ts';

/** host_quit. */
export const QUIT = 0x7fffffff;
/** "Run vCPUs while dirty logging is being disabled": they go on without waiting. */
export const RUN_ON = -1;

/** Plain data: linear-map addresses. */
export interface IterationWords {
  readonly hi: number;
  readonly iteration: number;
  readonly completed: number;
}

export function bootIterations(boot: BootMemory, node: number, vcpus: number): IterationWords {
  const words = boot.allocateNamed('iteration', node, 64);
  const array = boot.allocateNamed('vcpu_last_completed_iteration', node, vcpus * 4);
  for (let vcpu = 0; vcpu < vcpus; vcpu++) boot.write32(array, vcpu * 4, -1);
  return { hi: toLinear(words).hi, iteration: words.lo, completed: array.lo };
}

export function* startIteration(cpu: Cpu, words: IterationWords, iteration: number): Program {
  while (!cpu.store32(words.hi, words.iteration, iteration, Order.Release)) yield;
}

/**
 * The main thread: until every vCPU has completed the iteration, in order of vCPUs as the tests.
 */
export function* awaitCompletion(
  cpu: Cpu,
  words: IterationWords,
  vcpus: number,
  iteration: number,
): Program {
  while (!rcuEnterIdle(cpu)) yield;
  for (let vcpu = 0; vcpu < vcpus; vcpu++) {
    const lo = words.completed + vcpu * 4;
    while (!cpu.cond32(words.hi, lo, Condition.Equal, -1, iteration, Order.Acquire)) yield;
  }
  while (!rcuExitIdle(cpu)) yield;
}

export function* completeIteration(
  cpu: Cpu,
  words: IterationWords,
  vcpu: number,
  iteration: number,
): Program {
  while (!cpu.store32(words.hi, words.completed + vcpu * 4, iteration, Order.Release)) yield;
}

/** The iteration now, in cpu.lo. */
export function* readIteration(cpu: Cpu, words: IterationWords): Program {
  while (!cpu.load32(words.hi, words.iteration, Order.Acquire)) yield;
}

/** A vCPU thread: until the iteration is another one; it is then in cpu.lo. */
export function* awaitIteration(cpu: Cpu, words: IterationWords, current: number): Program {
  const { hi, iteration } = words;
  while (!rcuEnterIdle(cpu)) yield;
  while (!cpu.cond32(hi, iteration, Condition.NotEqual, -1, current, Order.Acquire)) yield;
  const next = cpu.lo;
  while (!rcuExitIdle(cpu)) yield;
  cpu.lo = next;
}
