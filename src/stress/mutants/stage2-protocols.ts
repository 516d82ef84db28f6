/**
 * Mutants of what stands around stage-2 tables: VMIDs, MMU notifiers, dirty state. And controls of
 * theirs.
 */

import { Order } from '../../cpu/operations.ts';
import { rcuEnterIdle, rcuExitIdle } from '../../kernel/base/rcu.ts';
import type { Mutant } from '../mutant.ts';
import { DIRTY_LOG } from '../oracles/dirty-log.ts';
import { STALE_TLB } from '../oracles/stale-tlb.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { dirtyHardwareTarget } from '../targets/dirty-hardware-target.ts';
import { dirtyReuseTarget } from '../targets/dirty-reuse-target.ts';
import { notifierTarget } from '../targets/notifier-target.ts';
import { vmidTarget } from '../targets/vmid-target.ts';

export const STAGE2_PROTOCOL_MUTANTS: readonly Mutant[] = [
  {
    id: 'P08',
    name: 'vmid-reuse',
    change: 'VMIDs are used again after a rollover without invalidating what they named',
    model: 'sc',
    depth: 2,
    oracles: [STALE_TLB],
    make: () => vmidTarget({ rolloverFlushes: () => false }, 'P08 vmid-reuse'),
  },
  {
    id: 'P16',
    name: 'notifier-retry-omitted',
    change: 'a fault maps the page that it looked up, whatever was invalidated since',
    model: 'sc',
    depth: 2,
    oracles: [STALE_TLB],
    make: () =>
      notifierTarget({
        name: 'P16 notifier-retry-omitted',
        scene: 'migrate',
        steps: { retries: () => false },
      }),
  },
  {
    id: 'P17',
    name: 'fast-fault-aba',
    change: 'a write is allowed without a lock outside of read-side sections',
    model: 'sc',
    depth: 2,
    oracles: [DIRTY_LOG, USE_AFTER_FREE],
    make: () =>
      dirtyReuseTarget(
        {
          // Grace periods end meanwhile, as they do for code outside of sections when tasks can be
          // preempted.
          walkBegin: (cpu) => rcuEnterIdle(cpu),
          *walkEnd(cpu) {
            while (!rcuExitIdle(cpu)) yield;
          },
        },
        'P17 fast-fault-aba',
      ),
  },
  {
    id: 'P18',
    name: 'nonatomic-clear-ad',
    change: 'the access flag is cleared by a plain store of what was read',
    model: 'sc',
    depth: 2,
    oracles: [DIRTY_LOG],
    make: () =>
      dirtyHardwareTarget(
        {
          replace(cpu, entryHi, entryLo, oldHi, _oldLo, lo) {
            if (!cpu.store64(entryHi, entryLo, oldHi, lo, Order.Relaxed)) return false;
            cpu.ok = true;
            return true;
          },
        },
        'P18 nonatomic-clear-ad',
      ),
  },
  {
    id: 'P24',
    name: 'notifier-seq-after-unlock',
    change: 'the invalidate sequence is read after the lock of the VMA is dropped',
    model: 'sc',
    depth: 2,
    oracles: [STALE_TLB],
    make: () =>
      notifierTarget({
        name: 'P24 notifier-seq-after-unlock',
        scene: 'remap',
        steps: { readsSequenceLocked: () => false },
      }),
  },
];
