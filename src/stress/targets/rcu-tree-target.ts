/**
 * Tree RCU under stress: CPU 0 replaces an object, waits for a grace period and frees the old one;
 * the others look at it inside sections, pass quiescent states and report them now or late, in the
 * middle of their next section, as an interrupt would (rcu_check_quiescent_state). Two CPUs to a
 * leaf, so that three make a tree of two levels.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { rcuEnterIdle, rcuExitIdle, rcuReadLock, rcuReadUnlock } from '../../kernel/base/rcu.ts';
import { RcuTree, type RcuTreeSteps, rcuTreeSteps } from '../../kernel/base/rcu-tree.ts';
import { bootRcuTree, type RcuTreeImage } from '../../kernel/base/rcu-tree-state.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { bootObjects, freeObject, replaceObject, useObject } from './replaced-objects.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 16384;
const FANOUT = 2;
/** Sections per replacement. */
const READS = 2;
const FREED = 'object freed';
const NEW = 'reader saw a new object';
const REPORTED = 'a report in time';

export function rcuTreeTarget(
  steps: RcuTreeSteps = rcuTreeSteps,
  name = 'rcu-tree',
  usual: StressSize = { cpus: 2, operations: 2 },
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'objects replaced under readers, grace periods by a tree of quiescent states',
    smallest: { cpus: 2, operations: 1 },
    usual,
    goals: [
      { name: FREED, leastCpus: 2, leastOperations: 1 },
      { name: NEW, leastCpus: 2, leastOperations: 1 },
      { name: REPORTED, leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(usual.cpus, ROOM_BYTES),
    boot(memory, size) {
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const tree = bootRcuTree(memory, { node: 0, cpus, fanout: FANOUT });
      return { addresses: bootObjects(memory, size.operations), numbers: {}, parts: { tree } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const tree = new RcuTree(image.parts!['tree'] as RcuTreeImage, reporting(steps, report));
      const part = cpu.id === 0 ? update : read;
      return part(cpu, image, size, report, tree);
    },
    finish() {},
  };
}

function reporting(steps: RcuTreeSteps, report: Reporter): RcuTreeSteps {
  return {
    ...steps,
    *isCurrent(cpu, hi, node, sequence) {
      yield* steps.isCurrent(cpu, hi, node, sequence);
      if (cpu.id !== 0 && cpu.ret === 1) report.reach(REPORTED);
    },
  };
}

function* update(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  tree: RcuTree,
): Program {
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 1; round <= size.operations; round++) {
    const old = yield* replaceObject(cpu, image, round);
    yield* tree.synchronize(cpu);
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
  tree: RcuTree,
): Program {
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 0; round < READS * size.operations; round++) {
    yield* rcuReadLock(cpu);
    yield* useObject(cpu, image, report);
    if (cpu.lo > 0) report.reach(NEW);
    yield* tree.report(cpu);
    yield* useObject(cpu, image, report);
    yield* rcuReadUnlock(cpu);
    if (round % 2 === 0) yield* tree.poll(cpu);
    else yield* passIdle(cpu, tree);
    cpu.mark();
  }
  while (!rcuEnterIdle(cpu)) yield;
}

/** A quiescent state that is left unreported, and one that drivers find: the report is too late. */
function* passIdle(cpu: Cpu, tree: RcuTree): Program {
  yield* tree.quiescent(cpu);
  while (!rcuEnterIdle(cpu)) yield;
  while (!rcuExitIdle(cpu)) yield;
}
