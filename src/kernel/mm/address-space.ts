/**
 * What the mm programs of one CPU work with: the address space's image, the allocator, RCU, the
 * locks and options. Made once per CPU in its program; holds nothing that another CPU sees.
 */

import type { Machine } from '../../machine/machine.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { makeReadWriteSemaphore, type ReadWriteSemaphore } from '../../sync/rwsem.ts';
import type { PageAllocator } from '../base/page-allocator.ts';
import type { Rcu } from '../base/rcu-callbacks.ts';
import type { MmImage } from './mm-struct.ts';
import type { NumaPolicy } from './numa-policy.ts';
import type { MmOptions } from './options.ts';
import type { Shootdown } from './shootdown.ts';

export interface AddressSpace {
  readonly mm: MmImage;
  readonly pages: PageAllocator;
  readonly rcu: Rcu;
  /** Which of the RCU's handlers is freeTable (zap.ts). */
  readonly freeTableFunction: number;
  readonly options: MmOptions;
  readonly policy: NumaPolicy;
  /** Physical address of empty_zero_page. */
  readonly zeroPage: { readonly hi: number; readonly lo: number };
  /** FEAT_TLBIRANGE. */
  readonly tlbirange: boolean;
  /** By IPI, on machines without broadcast invalidation (x86); else null. */
  readonly shootdown: Shootdown | null;
  readonly mmapLock: ReadWriteSemaphore;
  readonly pageTableLock: Lock;
}

export interface AddressSpaceParts {
  readonly mm: MmImage;
  readonly machine: Machine;
  readonly pages: PageAllocator;
  readonly rcu: Rcu;
  readonly freeTableFunction: number;
  readonly options: MmOptions;
  readonly policy: NumaPolicy;
  readonly zeroPage: { readonly hi: number; readonly lo: number };
  readonly shootdown?: Shootdown | null;
}

export function makeAddressSpace(parts: AddressSpaceParts): AddressSpace {
  const { mm, pages, rcu, freeTableFunction, options, policy, zeroPage } = parts;
  return {
    mm,
    pages,
    rcu,
    freeTableFunction,
    options,
    policy,
    zeroPage,
    tlbirange: parts.machine.features.tlbirange,
    shootdown: parts.shootdown ?? null,
    mmapLock: makeReadWriteSemaphore(),
    pageTableLock: makeQueuedSpinlock(),
  };
}
