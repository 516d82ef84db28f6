/** A lock of the house as a stress target on an explorer, with few CPUs and rounds. */

import type { MemoryModel } from '../../src/engine/explore/execution.ts';
import { type OpenTarget, openTarget } from '../../src/stress/run-target.ts';
import { lockTarget } from '../../src/stress/targets/lock-target.ts';
import { LOCKS } from '../../src/sync/registry.ts';

export function openLock(
  name: string,
  model: MemoryModel,
  cpus: number,
  operations: number,
): OpenTarget {
  const { facts, make } = LOCKS[name]!;
  const target = lockTarget({ name, description: facts.description, make });
  return openTarget(target, { cpus, operations }, { model, seed: 1, stepLimit: 500 });
}
