/**
 * A wait queue under stress: a token that everybody waits for, woken one by one (exclusive), and a
 * gate that CPU 0 raises and one CPU waits for beside them, woken whoever else is. Wakers look
 * without the lock whether anybody waits (wq_has_sleeper), so that every barrier counts.
 *
 * Whoever has had the token gives it back and wakes one: a wake-up that meets a waiter who has
 * just helped himself is passed on by him.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { toLinear } from '../../memory/physical-address.ts';
import {
  makeWaitQueue,
  WAIT_QUEUE_BYTES,
  type WaitQueue,
  type WaitQueueSteps,
  waitQueueSteps,
} from '../../sync/wait-queue.ts';
import { checkCount } from '../oracles/lost-update.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { type Guarded, writeSection } from './critical-section.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 4096;
const WAITS = 'a waiter sleeps';
const WOKEN = 'a sleeper is woken';
const LISTED = 'a waker finds somebody';
const TOGETHER = 'the gate is waited for';

export function waitQueueTarget(
  steps: WaitQueueSteps = waitQueueSteps,
  name = 'wait-queue',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'a token waited for one by one, and a gate, on one wait queue',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 3, operations: 2 },
    goals: [
      { name: WAITS, leastCpus: 2, leastOperations: 1 },
      { name: WOKEN, leastCpus: 2, leastOperations: 1 },
      { name: LISTED, leastCpus: 2, leastOperations: 1 },
      { name: TOGETHER, leastCpus: 3, leastOperations: 1 },
    ],
    ...shapeOf(3, ROOM_BYTES),
    boot(memory) {
      const line = (what: string) => memory.allocateNamed(what, 0, 64);
      const queue = memory.allocateNamed('queue', 0, WAIT_QUEUE_BYTES);
      const token = line('token');
      memory.write32(token, 0, 1);
      const words = { token, gate: line('gate'), owner: line('owner'), count: line('count') };
      const addresses = Object.entries({ queue, ...words }).map(([key, at]) => [key, toLinear(at)]);
      return { addresses: Object.fromEntries(addresses), numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const queue = makeWaitQueue(reporting(steps, report));
      return watches(cpu.id, size)
        ? passGate(cpu, image, size, queue, report)
        : useToken(cpu, image, size, queue, report);
    },
    finish(memory, image, size, report) {
      const users = size.cpus - (size.cpus > 2 ? 1 : 0);
      const count = image.addresses['count']!;
      checkCount(memory, count, users * size.operations, 'the count under the token', report);
    },
  };
}

/** The last CPU, if two others are left. */
function watches(cpu: number, { cpus }: StressSize): boolean {
  return cpus > 2 && cpu === cpus - 1;
}

function reporting(steps: WaitQueueSteps, report: Reporter): WaitQueueSteps {
  return {
    ...steps,
    *wakeList(cpu, hi, lo, exclusives, own) {
      report.reach(LISTED);
      yield* steps.wakeList(cpu, hi, lo, exclusives, own);
    },
    *sleep(cpu) {
      report.reach(WAITS);
      yield* steps.sleep(cpu);
    },
    *wakeTask(cpu, target) {
      yield* steps.wakeTask(cpu, target);
      if (cpu.ret === 1) report.reach(WOKEN);
    },
  };
}

function* useToken(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  queue: WaitQueue,
  report: Reporter,
): Program {
  const { hi, lo } = image.addresses['queue']!;
  const token = image.addresses['token']!;
  const gate = image.addresses['gate']!;
  const { owner, count } = image.addresses as unknown as Guarded;
  const take = function* (self: Cpu): Program {
    while (!self.swap32(token.hi, token.lo, 0, Order.Acquire)) yield;
    self.ret = self.lo;
  };
  for (let round = 1; round <= size.operations; round++) {
    yield* queue.waitUntil(cpu, hi, lo, true, take);
    yield* writeSection(cpu, { owner, count, again: count }, false, report);
    if (cpu.id === 0) while (!cpu.store32(gate.hi, gate.lo, round, Order.Relaxed)) yield;
    while (!cpu.store32(token.hi, token.lo, 1, Order.Release)) yield;
    yield* queue.wakeUpIfAny(cpu, hi, lo, 1);
    cpu.mark();
  }
}

function* passGate(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  queue: WaitQueue,
  report: Reporter,
): Program {
  const { hi, lo } = image.addresses['queue']!;
  const gate = image.addresses['gate']!;
  for (let round = 1; round <= size.operations; round++) {
    yield* queue.waitUntil(cpu, hi, lo, false, function* (self) {
      while (!self.load32(gate.hi, gate.lo, Order.Acquire)) yield;
      self.ret = self.lo >= round ? 1 : 0;
      if (self.ret === 0) report.reach(TOGETHER);
    });
    cpu.mark();
  }
}
