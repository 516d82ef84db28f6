/** Targets of what is no lock of src/sync/registry.ts, or needs a target of its own, by name. */

import type { StressTarget } from '../target.ts';
import { dirtyHardwareTarget } from './dirty-hardware-target.ts';
import { dirtyLogTarget } from './dirty-log-target.ts';
import { dirtyReuseTarget } from './dirty-reuse-target.ts';
import { hazardTarget } from './hazard-target.ts';
import { qspinlockNestedTarget } from './interrupt-nesting-target.ts';
import { invalidateSequenceTarget } from './invalidate-target.ts';
import { latchTarget } from './latch-target.ts';
import { memcacheTarget } from './memcache-target.ts';
import { mutexExitTarget } from './mutex-exit-target.ts';
import { notifierTarget } from './notifier-target.ts';
import { pageAllocatorTarget } from './page-allocator-target.ts';
import { pageStackTarget } from './page-stack-target.ts';
import { perVmaLockTarget } from './per-vma-lock-target.ts';
import { pteLockTarget } from './pte-lock-target.ts';
import { rcuTarget } from './rcu-target.ts';
import { rcuTreeTarget } from './rcu-tree-target.ts';
import { seqlockTarget } from './seqcount-target.ts';
import { srcuTarget } from './srcu-target.ts';
import {
  collapseScene,
  lockDescendantsScene,
  meetScene,
  pruneScene,
  relaxScene,
  remapScene,
  splitScene,
  unmapScene,
} from './stage2-scenes.ts';
import { type Scene, stage2Target } from './stage2-target.ts';
import { vmidTarget } from './vmid-target.ts';
import { waitQueueTarget } from './wait-queue-target.ts';

const SCENES: Readonly<Record<string, Scene>> = {
  'stage2-remap': remapScene,
  'stage2-collapse': collapseScene,
  'stage2-unmap': unmapScene,
  'stage2-prune': pruneScene,
  'stage2-meet': meetScene,
  'stage2-lock-descendants': lockDescendantsScene,
  'stage2-relax': relaxScene,
  'stage2-split': splitScene,
};

export const PROTOCOLS: Readonly<Record<string, () => StressTarget>> = {
  rcu: () => rcuTarget(),
  'rcu-tree': () => rcuTreeTarget(),
  srcu: () => srcuTarget(),
  'wait-queue': () => waitQueueTarget(),
  'pte-lock': () => pteLockTarget(),
  'mutex-exit': () => mutexExitTarget(),
  'qspinlock-nested': () => qspinlockNestedTarget(),
  seqlock: () => seqlockTarget(),
  'seqcount-latch': () => latchTarget(),
  'hazard-pointers': () => hazardTarget(),
  'treiber-stack': () => pageStackTarget(),
  'vmid-rollover': () => vmidTarget(),
  'notifier-retry': () => notifierTarget({ name: 'notifier-retry', scene: 'migrate' }),
  'notifier-remap': () => notifierTarget({ name: 'notifier-remap', scene: 'remap' }),
  'invalidate-sequence': () => invalidateSequenceTarget(),
  'per-vma-lock': () => perVmaLockTarget(),
  'page-allocator': () => pageAllocatorTarget(),
  memcache: () => memcacheTarget(),
  'dirty-log': () => dirtyLogTarget({ name: 'dirty-log', writeProtect: 'locked' }),
  'dirty-log-lockless': () =>
    dirtyLogTarget({ name: 'dirty-log-lockless', writeProtect: 'lockless' }),
  'write-protect-lockless': () => dirtyReuseTarget(),
  'dirty-hardware': () => dirtyHardwareTarget(),
  ...Object.fromEntries(
    Object.entries(SCENES).map(([name, scene]) => [name, () => stage2Target({ scene, name })]),
  ),
};
