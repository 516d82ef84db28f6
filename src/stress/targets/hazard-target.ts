/**
 * Hazard pointers under stress: one CPU replaces the object that a source names, retires the old
 * one and frees what nobody protects; the others use what they have protected.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { toLinear } from '../../memory/physical-address.ts';
import {
  HazardBranch,
  type HazardPointers,
  makeHazardPointers,
} from '../../sync/hazard-pointers.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { goalsOf } from './lock-goals.ts';
import { shapeOf } from './target-shape.ts';

const OBJECT_BYTES = 64;
const ROOM_BYTES = 4096;
const OWN = goalsOf(Object.values(HazardBranch));

/** CPU 0 replaces, the others read. */
export function hazardTarget(
  make: () => HazardPointers = makeHazardPointers,
  name = 'hazard-pointers',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'objects replaced under readers that protect what they use',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: 'object freed', leastCpus: 2, leastOperations: 1 },
      { name: 'object was protected', leastCpus: 2, leastOperations: 1 },
      ...OWN.goals,
    ],
    branches: OWN.branches,
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, size) {
      const source = memory.allocateNamed('source', 0, OBJECT_BYTES);
      const objects = memory.allocateNamed('objects', 0, (size.operations + 1) * OBJECT_BYTES);
      const first = toLinear(objects);
      memory.write64(source, 0, first.hi, first.lo);
      return { addresses: { source: toLinear(source), objects: first }, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const pointers = make();
      return cpu.id === 0
        ? replace(cpu, image, size, report, pointers)
        : use(cpu, image, size, report, pointers);
    },
    finish() {},
  };
}

function* replace(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  pointers: HazardPointers,
): Program {
  const source = image.addresses['source']!;
  const { hi, lo } = image.addresses['objects']!;
  const free = function* (self: Cpu, objectHi: number, objectLo: number): Program {
    report.reach('object freed');
    while (!self.swap64(objectHi, objectLo, -1, 0, Order.Release)) yield;
    self.event(EventKind.ObjectFreed, objectHi, objectLo);
  };
  for (let round = 1; round <= size.operations; round++) {
    const fresh = lo + round * OBJECT_BYTES;
    while (!cpu.store64(hi, fresh, round, round, Order.Relaxed)) yield;
    while (!cpu.swap64(source.hi, source.lo, hi, fresh, Order.AcquireRelease)) yield;
    yield* pointers.retire(cpu, cpu.hi, cpu.lo);
    yield* pointers.reclaim(cpu, free);
    if (cpu.ret > 0) report.reach('object was protected');
    cpu.mark();
  }
}

function* use(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  pointers: HazardPointers,
): Program {
  const source = image.addresses['source']!;
  for (let round = 0; round < size.operations; round++) {
    yield* pointers.protect(cpu, 0, source.hi, source.lo);
    const { hi, lo } = cpu;
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const first = cpu.lo;
    while (!cpu.load32(hi, lo + 4, Order.Relaxed)) yield;
    checkEqual(cpu.id, first, cpu.lo, { hi, lo }, report);
    yield* pointers.clear(cpu, 0);
    cpu.mark();
  }
}
