/**
 * Wait queue: nobody sleeps past his condition, exclusive waiters are woken one by one and the
 * others together; and each step replaced by its classic mistake loses a wake-up.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Order } from '../../../src/cpu/operations.ts';
import {
  makeWaitQueue,
  type WaitQueueSteps,
  waitQueueSteps,
} from '../../../src/sync/wait-queue.ts';
import { firstFailure, lines, load, require, store } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

/** Four CPUs share two tokens: exclusive waiters, one woken per token given back. */
function semaphore(seed: number, steps: WaitQueueSteps): void {
  const queue = makeWaitQueue(steps);
  const engine = new StepEngine({ seed, stepLimit: 100_000 });
  const [at, tokens] = lines(engine, 2);
  engine.boot.write32({ hi: tokens!.hi & 0xffff, lo: tokens!.lo }, 0, 2);
  let inside = 0;
  function* take(cpu: Cpu): Program {
    yield* load(cpu, tokens!);
    const seen = cpu.lo;
    cpu.ret = 0;
    if (seen === 0) return;
    while (!cpu.cas32(tokens!.hi, tokens!.lo, seen, seen - 1, Order.Acquire)) yield;
    cpu.ret = cpu.ok ? 1 : 0;
    if (!cpu.ok) yield* take(cpu);
  }
  function* program(cpu: Cpu): Program {
    for (let i = 0; i < 6; i++) {
      yield* queue.waitUntil(cpu, at!.hi, at!.lo, true, take);
      require(++inside <= 2, 'a token was taken twice');
      yield* load(cpu, tokens!);
      inside--;
      while (!cpu.add32(tokens!.hi, tokens!.lo, 1, Order.Release)) yield;
      yield* queue.wakeUp(cpu, at!.hi, at!.lo, 1);
    }
  }
  engine.run([program, program, program, program]);
  require(engine.peek32(tokens!) === 2, 'a token was lost');
  require(engine.peek32(at!, 4) === 0 && engine.peek32(at!, 8) === 0, 'somebody is still queued');
}

/** One CPU opens gates one after the other, three wait for each; all of them are woken. */
function gates(seed: number, steps: WaitQueueSteps, count = 5): void {
  const queue = makeWaitQueue(steps);
  const engine = new StepEngine({ seed, stepLimit: 100_000 });
  const [at, gate, passed] = lines(engine, 3);
  const isOpen = (wanted: number) =>
    function* (cpu: Cpu): Program {
      yield* load(cpu, gate!);
      cpu.ret = cpu.lo >= wanted ? 1 : 0;
    };
  function* waiter(cpu: Cpu): Program {
    for (let i = 1; i <= count; i++) {
      yield* queue.waitUntil(cpu, at!.hi, at!.lo, false, isOpen(i));
      while (!cpu.add32(passed!.hi, passed!.lo, 1, Order.Relaxed)) yield;
    }
  }
  function* opener(cpu: Cpu): Program {
    for (let i = 1; i <= count; i++) {
      yield* store(cpu, gate!, i);
      yield* queue.wakeUp(cpu, at!.hi, at!.lo, 0);
    }
  }
  engine.run([waiter, waiter, opener, waiter]);
  require(engine.peek32(passed!) === 3 * count, 'somebody did not pass');
}

const SEEDS = 300;
const failure = (run: typeof gates, changes: Partial<WaitQueueSteps>): string | null =>
  firstFailure(SEEDS, (seed) => run(seed, { ...waitQueueSteps, ...changes }));

describe('wait queue', () => {
  it('loses no wake-up', () => {
    expect(failure(semaphore, {})).toBeNull();
    expect(failure(gates, {})).toBeNull();
  });

  /** Looks, queues, sleeps: what changes between the first two is missed. */
  const waitUntil: WaitQueueSteps['waitUntil'] = function* (q, cpu, hi, lo, exclusive, condition) {
    yield* condition(cpu);
    while (cpu.ret === 0) {
      yield* q.prepareToWait(cpu, hi, lo, exclusive);
      yield* q.sleep(cpu);
      yield* condition(cpu);
    }
    yield* q.finishWait(cpu, hi, lo);
  };

  it.each([['semaphore', semaphore] as const, ['gates', gates] as const])(
    'is broken by a look before queueing and none after it: %s',
    (_, run) => {
      expect(failure(run, { waitUntil })).toMatch(/deadlock/);
    },
  );

  it('is broken by a state that is set to sleeping after the last look', () => {
    const late: Partial<WaitQueueSteps> = {
      *setState(cpu) {
        yield* load(cpu, { hi: cpu.perCpuHi(cpu.id), lo: cpu.perCpuLo(cpu.id) });
      },
      *sleep(cpu) {
        yield* waitQueueSteps.setState(cpu, 2);
        yield* waitQueueSteps.sleep(cpu);
      },
    };
    const oneGate: typeof gates = (seed, steps) => gates(seed, steps, 1);
    expect(failure(oneGate, late)).toMatch(/deadlock/);
  });

  it('is broken by a waker that stops at the first waiter, whoever he is', () => {
    const wakeList: WaitQueueSteps['wakeList'] = function* (cpu, hi, lo, exclusives, steps) {
      const once: WaitQueueSteps = {
        ...steps,
        *wakeTask(self, target) {
          if (seen) {
            self.ret = 0;
            return;
          }
          seen = true;
          yield* steps.wakeTask(self, target);
        },
      };
      let seen = false;
      yield* waitQueueSteps.wakeList(cpu, hi, lo, exclusives, once);
    };
    expect(failure(gates, { wakeList })).toMatch(/deadlock/);
  });

  it('is broken by a waker that only wakes who sleeps already', () => {
    const wakeTask: WaitQueueSteps['wakeTask'] = function* (cpu, target) {
      yield* load(cpu, { hi: cpu.perCpuHi(target), lo: cpu.perCpuLo(target) });
      cpu.ret = 1;
    };
    expect(failure(gates, { wakeTask })).toMatch(/deadlock/);
  });
});
