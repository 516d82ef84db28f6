/**
 * Promises: no callback runs before every reader that could see the object has left; grace periods
 * end although CPUs are idle, finished or never started; misuse is reported at once.
 */

import { expect, test } from 'vitest';
import { CheckError, StallError } from '../../../../src/base/errors.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../../src/cpu/operations.ts';
import {
  rcuEnterIdle,
  rcuExitIdle,
  rcuQuiescent,
  rcuReadLock,
  rcuReadUnlock,
} from '../../../../src/kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../../../src/kernel/base/rcu-callbacks.ts';
import { type Address, addBytes, toLinear } from '../../../../src/memory/physical-address.ts';
import { Counter, Metric } from '../../../../src/metrics/definition.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const ALIVE = 1;
const FREED = 2;
const OBJECTS = 8;
const OBJECT_BYTES = 64;

interface World {
  readonly engine: StepEngine;
  readonly rcu: RcuImage;
  /** A word that names the current object, 1 .. OBJECTS. */
  readonly pointer: Address;
  readonly objects: Address;
}

function setUp(seed: number, cpuCount: number, stepLimit = 1_000_000): World {
  const engine = new StepEngine({ cpuCount, nodeCount: 1, seed, stepLimit });
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const rcu = bootRcu(engine.boot, 0, cpus, 50_000);
  const pointer = engine.boot.allocate(0, 64);
  const objects = engine.boot.allocate(0, OBJECTS * OBJECT_BYTES);
  engine.boot.write32(pointer, 0, 1);
  engine.boot.write32(objects, 0, ALIVE);
  return { engine, rcu, pointer: toLinear(pointer), objects: toLinear(objects) };
}

function objectAt(world: World, number: number): Address {
  return addBytes({ ...world.objects, hi: world.objects.hi & 0xffff }, (number - 1) * OBJECT_BYTES);
}

/** Frees: marks the object; the argument is its linear address. */
function* freeObject(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.swap32(hi, lo, FREED, Order.Relaxed)) yield;
  expect(cpu.lo).toBe(ALIVE);
}

function* reader(cpu: Cpu, world: World, rounds: number): Program {
  const rcu = new Rcu(world.rcu, []);
  while (!rcuExitIdle(cpu)) yield;
  for (let i = 0; i < rounds; i++) {
    yield* rcuReadLock(cpu);
    yield* rcuReadLock(cpu);
    while (!cpu.load32(world.pointer.hi, world.pointer.lo, Order.Acquire)) yield;
    const object = toLinear(objectAt(world, cpu.lo));
    yield* rcuReadUnlock(cpu);
    for (let look = 0; look < 3; look++) {
      while (!cpu.load32(object.hi, object.lo, Order.Relaxed)) yield;
      expect(cpu.lo, 'a reader sees a freed object').toBe(ALIVE);
    }
    yield* rcuReadUnlock(cpu);
    if (i % 3 === 0) while (!rcuQuiescent(cpu)) yield;
    if (i % 5 === 4) {
      while (!rcuEnterIdle(cpu)) yield;
      while (!rcuExitIdle(cpu)) yield;
    }
  }
  yield rcu.finish(cpu);
}

/** Replaces the object OBJECTS - 1 times; frees the old one by `retire`. */
function* writer(
  cpu: Cpu,
  world: World,
  retire: (cpu: Cpu, rcu: Rcu, hi: number, lo: number) => Program,
): Program {
  const rcu = new Rcu(world.rcu, [freeObject]);
  while (!rcuExitIdle(cpu)) yield;
  for (let fresh = 2; fresh <= OBJECTS; fresh++) {
    const next = toLinear(objectAt(world, fresh));
    while (!cpu.store32(next.hi, next.lo, ALIVE, Order.Relaxed)) yield;
    while (!cpu.swap32(world.pointer.hi, world.pointer.lo, fresh, Order.Release)) yield;
    const old = toLinear(objectAt(world, cpu.lo));
    yield retire(cpu, rcu, old.hi, old.lo);
    yield rcu.poll(cpu);
  }
  yield rcu.finish(cpu);
}

function freedObjects(world: World): number {
  let freed = 0;
  for (let number = 1; number <= OBJECTS; number++) {
    if (world.engine.peek32(objectAt(world, number)) === FREED) freed++;
  }
  return freed;
}

function* byCallback(cpu: Cpu, rcu: Rcu, hi: number, lo: number): Program {
  yield rcu.call(cpu, hi, lo + 16, 0, hi, lo);
}

function* bySynchronize(cpu: Cpu, rcu: Rcu, hi: number, lo: number): Program {
  yield rcu.synchronize(cpu);
  yield* freeObject(cpu, hi, lo);
}

test('callbacks run after all readers have left, under hundreds of interleavings', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const world = setUp(seed, 4);
    const read = (cpu: Cpu) => reader(cpu, world, 12);
    world.engine.run([read, (cpu) => writer(cpu, world, byCallback), read]);
    expect(freedObjects(world)).toBe(OBJECTS - 1);
    const cpu = world.engine.cpus[1]!;
    expect(cpu.counters.get(Counter.RcuCallbacks)).toBe(OBJECTS - 1);
    expect(cpu.metrics.get(Metric.RcuGracePeriod)!.count).toBeGreaterThan(0);
  }
});

test('synchronize returns after all readers have left, with several updaters at once', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const world = setUp(seed, 4);
    const read = (cpu: Cpu) => reader(cpu, world, 12);
    function* second(cpu: Cpu): Program {
      const rcu = new Rcu(world.rcu, []);
      while (!rcuExitIdle(cpu)) yield;
      for (let i = 0; i < 4; i++) yield rcu.synchronize(cpu);
      yield rcu.finish(cpu);
    }
    world.engine.run([read, (cpu) => writer(cpu, world, bySynchronize), second, read]);
    expect(freedObjects(world)).toBe(OBJECTS - 1);
  }
});

test('the test can fail: freeing at once is seen by a reader', () => {
  function* atOnce(cpu: Cpu, _: Rcu, hi: number, lo: number): Program {
    yield* freeObject(cpu, hi, lo);
  }
  expect(() => {
    for (let seed = 1; seed <= 50; seed++) {
      const world = setUp(seed, 3);
      const read = (cpu: Cpu) => reader(cpu, world, 12);
      world.engine.run([read, (cpu) => writer(cpu, world, atOnce), read]);
    }
  }).toThrow(/a reader sees a freed object/);
});

test('a CPU inside a section that never quiesces holds up the grace period', () => {
  const world = setUp(1, 2, 20_000);
  function* stuck(cpu: Cpu): Program {
    while (!rcuExitIdle(cpu)) yield;
    yield* rcuReadLock(cpu);
    while (!cpu.cond32(world.pointer.hi, world.pointer.lo, Condition.Equal, -1, 99, 0)) yield;
  }
  function* updater(cpu: Cpu): Program {
    const rcu = new Rcu(world.rcu, []);
    while (!rcuExitIdle(cpu)) yield;
    while (!cpu.cond32(cpu.perCpuHi(0), cpu.perCpuLo(0) + 4096, Condition.Equal, -1, 1, 0)) yield;
    yield rcu.synchronize(cpu);
  }
  expect(() => world.engine.run([stuck, updater])).toThrow(StallError);
});

test('waiting for a grace period inside a section is refused at once', () => {
  const world = setUp(1, 1);
  function* program(cpu: Cpu): Program {
    const rcu = new Rcu(world.rcu, []);
    while (!rcuExitIdle(cpu)) yield;
    yield* rcuReadLock(cpu);
    yield rcu.synchronize(cpu);
  }
  expect(() => world.engine.run([program])).toThrow(CheckError);
});

test('unlock without lock and idle twice are caught', () => {
  const once = setUp(1, 1);
  expect(() => once.engine.run([(cpu) => rcuReadUnlock(cpu)])).toThrow(/without rcu_read_lock/);
  const twice = setUp(1, 1);
  function* idle(cpu: Cpu): Program {
    while (!rcuEnterIdle(cpu)) yield;
  }
  expect(() => twice.engine.run([idle])).toThrow(/enters RCU idle twice/);
});
