/**
 * Promises of the rt_mutex that the common suite does not ask for: waiters are served by priority,
 * and an owner that waits itself queues with the priority of who waits for it.
 */

import { expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import type { Address } from '../../../src/memory/physical-address.ts';
import { makeRtMutex, rtMutexSteps } from '../../../src/sync/rtmutex.ts';
import { lines } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

const SEEDS = 20;
const lock = makeRtMutex();

/** Long enough for everybody else to go to sleep. */
function* pause(cpu: Cpu, word: Address): Program {
  for (let i = 0; i < 600; i++) while (!cpu.load32(word.hi, word.lo, Order.Relaxed)) yield;
}

function* awaitStage(cpu: Cpu, word: Address, stage: number): Program {
  const kind = Condition.AtLeastWrapping;
  while (!cpu.cond32(word.hi, word.lo, kind, -1, stage, Order.Acquire)) yield;
}

function* setStage(cpu: Cpu, word: Address, stage: number): Program {
  while (!cpu.store32(word.hi, word.lo, stage, Order.Release)) yield;
}

/** Runs programs, each of which appends to the order; the order for one seed. */
function orderOf(
  seed: number,
  programs: (words: Address[], order: number[]) => ((cpu: Cpu) => Program)[],
): number[] {
  const engine = new StepEngine({ cpuCount: 4, seed, backedBytes: 256 * 1024 });
  const order: number[] = [];
  engine.run(programs(lines(engine, 4), order));
  return order;
}

it('serves waiters by priority, whoever came first', () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const order = orderOf(seed, ([mutex, stage], served) => {
      const { hi, lo } = mutex!;
      const waiter = function* (cpu: Cpu): Program {
        // CPU 3 is the owner; 2 asks first, then 1, then 0.
        yield* awaitStage(cpu, stage!, 3 - cpu.id);
        yield lock.acquire(cpu, hi, lo);
        served.push(cpu.id);
        yield lock.release(cpu, hi, lo);
      };
      const owner = function* (cpu: Cpu): Program {
        yield lock.acquire(cpu, hi, lo);
        for (let next = 1; next <= 3; next++) {
          yield* setStage(cpu, stage!, next);
          yield* pause(cpu, stage!);
        }
        yield lock.release(cpu, hi, lo);
      };
      return [waiter, waiter, waiter, owner];
    });
    expect(order, `seed ${seed}`).toEqual([0, 1, 2]);
  }
});

/**
 * CPU 3 (lowest) owns A and waits for B, which CPU 1 owns; CPU 2 waits for B too. Then CPU 0
 * (highest) waits for A: CPU 3 gets B before CPU 2.
 */
function chain(boosted: boolean, seed: number): number[] {
  const steps = boosted
    ? rtMutexSteps
    : {
        ...rtMutexSteps,
        *boost(cpu: Cpu, hi: number, lo: number): Program {
          while (!cpu.store32(hi, lo + 4, 0, Order.Release)) yield;
        },
      };
  const mutex = makeRtMutex(steps);
  return orderOf(seed, ([a, b, stage], served) => {
    const taker = (of: Address, at: number) =>
      function* (cpu: Cpu): Program {
        yield* awaitStage(cpu, stage!, at);
        yield mutex.acquire(cpu, of.hi, of.lo);
        if (of === b) served.push(cpu.id);
        yield mutex.release(cpu, of.hi, of.lo);
      };
    const owner = function* (cpu: Cpu): Program {
      yield mutex.acquire(cpu, b!.hi, b!.lo);
      for (let next = 1; next <= 3; next++) {
        yield* setStage(cpu, stage!, next);
        yield* pause(cpu, stage!);
      }
      yield mutex.release(cpu, b!.hi, b!.lo);
    };
    const boostedOwner = function* (cpu: Cpu): Program {
      yield* awaitStage(cpu, stage!, 1);
      yield mutex.acquire(cpu, a!.hi, a!.lo);
      yield* taker(b!, 1)(cpu);
      yield mutex.release(cpu, a!.hi, a!.lo);
    };
    return [taker(a!, 3), owner, taker(b!, 2), boostedOwner];
  });
}

it('an owner queues with the priority of who waits for it', () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    expect(chain(true, seed), `seed ${seed}`).toEqual([3, 2]);
    expect(chain(false, seed), `seed ${seed}`).toEqual([2, 3]);
  }
});
