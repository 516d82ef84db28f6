/**
 * Promises: synchronize_srcu waits for every section that began before it, also for readers that
 * took the index just before a flip; it waits for no later ones; misuse is reported at once.
 */

import { expect, test } from 'vitest';
import { CheckError } from '../../../../src/base/errors.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { rcuExitIdle } from '../../../../src/kernel/base/rcu.ts';
import {
  bootSrcu,
  type SrcuDomain,
  srcuReadLock,
  srcuReadUnlock,
  synchronizeSrcu,
} from '../../../../src/kernel/base/srcu.ts';
import { type Address, toLinear } from '../../../../src/memory/physical-address.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const SLOTS = 12;

interface World {
  readonly engine: StepEngine;
  readonly domain: SrcuDomain;
  /** Word 0: current object; words 1 ..: 0 = alive, 1 = freed. */
  readonly words: Address;
}

function setUp(seed: number): World {
  const engine = new StepEngine({ cpuCount: 4, nodeCount: 2, seed });
  const domain = bootSrcu(engine.boot, 'kvm->srcu', 0, 3, [0, 1, 2, 3]);
  const words = toLinear(engine.boot.allocate(0, 256));
  return { engine, domain, words };
}

function* reader(cpu: Cpu, { domain, words }: World): Program {
  while (!rcuExitIdle(cpu)) yield;
  for (let i = 0; i < 15; i++) {
    yield* srcuReadLock(cpu, domain);
    const index = cpu.ret;
    while (!cpu.load32(words.hi, words.lo, Order.Acquire)) yield;
    const object = words.lo + 4 + cpu.lo * 4;
    for (let look = 0; look < 3; look++) {
      while (!cpu.load32(words.hi, object, Order.Relaxed)) yield;
      expect(cpu.lo, 'a reader sees a freed object').toBe(0);
    }
    while (!srcuReadUnlock(cpu, domain, index)) yield;
  }
}

function* updater(cpu: Cpu, { domain, words }: World, wait: boolean): Program {
  while (!rcuExitIdle(cpu)) yield;
  for (let i = 0; i < SLOTS / 2; i++) {
    while (!cpu.add32(words.hi, words.lo, 1, Order.SequentiallyConsistent)) yield;
    const old = words.lo + 4 + cpu.lo * 4;
    if (wait) yield synchronizeSrcu(cpu, domain);
    while (!cpu.swap32(words.hi, old, 1, Order.Relaxed)) yield;
    expect(cpu.lo).toBe(0);
  }
}

function run(world: World, wait = true): void {
  const read = (cpu: Cpu) => reader(cpu, world);
  const update = (cpu: Cpu) => updater(cpu, world, wait);
  world.engine.run([read, update, read, update]);
}

test('objects outlive their readers, two updaters, hundreds of interleavings', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const world = setUp(seed);
    run(world);
    for (let word = 0; word < SLOTS; word++)
      expect(world.engine.peek32(world.words, 4 + word * 4)).toBe(1);
  }
});

test('the test can fail: without waiting a reader sees a freed object', () => {
  expect(() => {
    for (let seed = 1; seed <= 50; seed++) run(setUp(seed), false);
  }).toThrow(/a reader sees a freed object/);
});

test('waiting inside a section is refused at once', () => {
  const { engine, domain } = setUp(1);
  function* program(cpu: Cpu): Program {
    yield* srcuReadLock(cpu, domain);
    yield synchronizeSrcu(cpu, domain);
  }
  expect(() => engine.run([program])).toThrow(CheckError);
});
