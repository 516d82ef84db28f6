/**
 * Keeping the roots of all nodes alike: set_swapper_pgd with replicated text (patch "arm64: text
 * replication: update cnp support" and its neighbours; H. Jia's repost, patch 11). Under
 * swapper_pgdir_lock a new top-level entry is written to the root of every other node first, then
 * to swapper_pg_dir. Only the top level needs it, as lower tables are shared. The kernel's own
 * entry is never written this way: WARN_ON_ONCE, and the update is dropped.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { type SetRootEntry, storeRootEntry } from '../kernel-table/kernel-table.ts';
import { isOwnEntry } from './boot.ts';
import type { KernelTextImage } from './image.ts';

/** The steps that mutants replace. */
export interface PropagateSteps {
  /** Writes the entry to one root that is not swapper_pg_dir. */
  toCopy: typeof storeRootEntry;
}

export const propagateSteps: PropagateSteps = { toCopy: storeRootEntry };

export function makeSetRootEntry(
  image: KernelTextImage,
  lock: Lock,
  steps: PropagateSteps = propagateSteps,
): SetRootEntry {
  return function* (cpu: Cpu, index: number, hi: number, lo: number): Program {
    if (isOwnEntry(image, index)) return;
    cpu.begin(Metric.TextPropagate);
    yield* lock.acquire(cpu, image.rootLock.hi, image.rootLock.lo);
    const [original, ...others] = image.copies;
    for (const { root } of others) yield* steps.toCopy(cpu, root, index, hi, lo);
    yield* storeRootEntry(cpu, original!.root, index, hi, lo);
    yield* lock.release(cpu, image.rootLock.hi, image.rootLock.lo);
    cpu.end(Metric.TextPropagate);
  };
}
