/**
 * What is shared, is no lock and needs the kernel base: continues src/sync/objects.ts. Each takes
 * the plain data of its boot function (bootRcu, bootRcuTree, bootPteTables).
 */

import type { RegisteredObject } from '../sync/objects.ts';
import { Rcu, type RcuHandler, type RcuImage } from './base/rcu-callbacks.ts';
import { RcuTree, type RcuTreeSteps } from './base/rcu-tree.ts';
import type { RcuTreeImage } from './base/rcu-tree-state.ts';
import { PteLock, type PteLockSteps, type PteTablesImage } from './mm/pte-lock.ts';

export const KERNEL_OBJECTS = {
  rcu: {
    make: (image: RcuImage, handlers: readonly RcuHandler[]) => new Rcu(image, handlers),
    description: 'grace periods and callbacks, one driver reads every CPU',
    source: 'kernel/rcu/tree.c',
    transfers: '0 per section; one per CPU and grace period, all by the driver',
  },
  'rcu-tree': {
    make: (image: RcuTreeImage, steps?: RcuTreeSteps) => new RcuTree(image, steps),
    description: 'grace periods whose quiescent states are combined up a tree of nodes',
    source: 'kernel/rcu/tree.c, struct rcu_node',
    transfers: '0 per section; 2 to 3 per CPU and per node of the tree and grace period',
  },
  'pte-lock': {
    make: (image: PteTablesImage, rcu: Rcu, functionId: number, steps?: PteLockSteps) =>
      new PteLock(image, rcu, functionId, steps),
    description: 'a spinlock per table page, freed with it by RCU',
    source: 'mm/pgtable-generic.c, __pte_offset_map_lock',
    transfers: '2 to 4 per table and fault',
  },
} as const satisfies Readonly<Record<string, RegisteredObject>>;
