/**
 * SRCU under stress: CPU 0 replaces an object, waits for a grace period of the domain and frees the
 * old one; the others look at it inside sections. Readers may come late, with the index of a time
 * before the last flip; several replacements show whether they are waited for.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { rcuEnterIdle, rcuExitIdle } from '../../kernel/base/rcu.ts';
import {
  bootSrcu,
  type SrcuDomain,
  type SrcuSteps,
  srcuReadLock,
  srcuReadUnlock,
  srcuSteps,
  synchronizeSrcu,
} from '../../kernel/base/srcu.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { bootObjects, freeObject, replaceObject, useObject } from './replaced-objects.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 16384;
/** Sections per replacement. */
const READS = 2;
const FREED = 'object freed';
const NEW = 'reader saw a new object';
const FLIPPED = 'section under the second index';

export function srcuTarget(steps: SrcuSteps = srcuSteps, name = 'srcu'): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'objects replaced under sleepable readers, freed after a grace period',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: FREED, leastCpus: 2, leastOperations: 1 },
      { name: NEW, leastCpus: 2, leastOperations: 1 },
      { name: FLIPPED, leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, size) {
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const domain = bootSrcu(memory, 'srcu', 0, 0, cpus);
      return {
        addresses: bootObjects(memory, size.operations),
        numbers: {},
        parts: { domain },
      };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const part = cpu.id === 0 ? update : read;
      return part(cpu, image, size, report, steps);
    },
    finish() {},
  };
}

function* update(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  steps: SrcuSteps,
): Program {
  const domain = image.parts!['domain'] as SrcuDomain;
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 1; round <= size.operations; round++) {
    const old = yield* replaceObject(cpu, image, round);
    yield* synchronizeSrcu(cpu, domain, steps);
    yield* freeObject(cpu, old);
    report.reach(FREED);
    cpu.mark();
  }
  while (!rcuEnterIdle(cpu)) yield;
}

function* read(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  steps: SrcuSteps,
): Program {
  const domain = image.parts!['domain'] as SrcuDomain;
  for (let round = 0; round < READS * size.operations; round++) {
    yield* srcuReadLock(cpu, domain, steps);
    const index = cpu.ret;
    if (index === 1) report.reach(FLIPPED);
    yield* useObject(cpu, image, report);
    if (cpu.lo > 0) report.reach(NEW);
    while (!srcuReadUnlock(cpu, domain, index)) yield;
    cpu.mark();
  }
}
