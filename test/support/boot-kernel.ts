/** The kernel that a workload's boot is given where a test has no run: an empty map, no text. */

import type { BootMemory } from '../../src/memory/boot.ts';
import { createStage1Table } from '../../src/translation/boot-tables.ts';
import { GRANULE_4K } from '../../src/translation/granule.ts';
import type { BootedKernel } from '../../workloads/workload.ts';

export function bootKernel(boot: BootMemory): BootedKernel {
  const table = createStage1Table(boot, boot.nearestNodeWithMemory(0), GRANULE_4K);
  const roots = Array.from(boot.machine.nodeOfCpu, () => table.root);
  return { map: { table, roots }, userRoots: [], smp: null, text: null };
}
