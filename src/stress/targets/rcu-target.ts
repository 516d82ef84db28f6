/**
 * RCU under stress: updaters replace the object that a pointer names and free the old one after a
 * grace period, by callback; readers follow the pointer inside read-side sections. As rcutorture
 * (kernel/rcu/rcutorture.c), with every object used once, so that a freed one is known by its line.
 *
 * An object is a line: two words that are equal, and the head of its callback.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { rcuExitIdle, rcuQuiescent, rcuReadLock, rcuReadUnlock } from '../../kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../kernel/base/rcu-callbacks.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const HEAD = 16;
const OBJECT_BYTES = 64;
const ROOM_BYTES = 16384;

export interface RcuSteps {
  /** CPUs whose sections grace periods wait for. */
  watched(cpus: readonly number[]): readonly number[];
  /** Makes the object visible. */
  publish(cpu: Cpu, hi: number, lo: number, objectHi: number, objectLo: number): boolean;
}

export const rcuTargetSteps: RcuSteps = {
  watched: (cpus) => cpus,
  publish: (cpu, hi, lo, objectHi, objectLo) =>
    cpu.store64(hi, lo, objectHi, objectLo, Order.Release),
};

/** CPU 0 updates, the others read. */
export function rcuTarget(steps: RcuSteps = rcuTargetSteps, name = 'rcu'): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'objects replaced under readers and freed by RCU callbacks',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: 'object freed', leastCpus: 2, leastOperations: 1 },
      { name: 'reader saw a new object', leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, size) {
      const pointer = memory.allocateNamed('pointer', 0, OBJECT_BYTES);
      const bytes = (size.operations + 1) * OBJECT_BYTES;
      const objects = memory.allocateNamed('objects', 0, bytes);
      const first = toLinear(objects);
      memory.write64(pointer, 0, first.hi, first.lo);
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const rcu = bootRcu(memory, 0, steps.watched(cpus));
      return {
        addresses: { pointer: toLinear(pointer), objects: first },
        numbers: {},
        parts: { rcu },
      };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return cpu.id === 0
        ? update(cpu, image, size, report, steps)
        : read(cpu, image, size, report);
    },
    finish() {},
  };
}

function openRcu(image: StressImage, report: Reporter): Rcu {
  return new Rcu(image.parts!['rcu'] as RcuImage, [
    function* freeObject(cpu, hi, lo) {
      report.reach('object freed');
      // Poison: a reader that is still inside sees words that differ. An atomic one, as the object
      // may be somebody else's from here on: no store of this CPU is on its way to it.
      while (!cpu.swap64(hi, lo, -1, 0, Order.Release)) yield;
      cpu.event(EventKind.ObjectFreed, hi, lo);
    },
  ]);
}

function* update(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  steps: RcuSteps,
): Program {
  const { pointer, objects } = image.addresses as { [name: string]: { hi: number; lo: number } };
  const rcu = openRcu(image, report);
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 1; round <= size.operations; round++) {
    const hi = objects!.hi;
    const old = objects!.lo + (round - 1) * OBJECT_BYTES;
    const fresh = objects!.lo + round * OBJECT_BYTES;
    while (!cpu.store64(hi, fresh, round, round, Order.Relaxed)) yield;
    while (!steps.publish(cpu, pointer!.hi, pointer!.lo, hi, fresh)) yield;
    cpu.event(EventKind.ObjectUnlinked, hi, old);
    yield* rcu.call(cpu, hi, old + HEAD, 0, hi, old);
    yield* rcu.poll(cpu);
    cpu.mark();
  }
  yield* rcu.finish(cpu);
}

function* read(cpu: Cpu, image: StressImage, size: StressSize, report: Reporter): Program {
  const pointer = image.addresses['pointer']!;
  const rcu = openRcu(image, report);
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 0; round < size.operations; round++) {
    yield* rcuReadLock(cpu);
    while (!cpu.load64(pointer.hi, pointer.lo, Order.Acquire)) yield;
    const { hi, lo } = cpu;
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const first = cpu.lo;
    while (!cpu.load32(hi, lo + 4, Order.Relaxed)) yield;
    checkEqual(cpu.id, first, cpu.lo, { hi, lo }, report);
    if (first > 0) report.reach('reader saw a new object');
    yield* rcuReadUnlock(cpu);
    while (!rcuQuiescent(cpu)) yield;
    cpu.mark();
  }
  yield* rcu.finish(cpu);
}
