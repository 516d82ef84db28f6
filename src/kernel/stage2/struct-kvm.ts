/**
 * Where the fields of struct kvm lie (include/linux/kvm_host.h, v6.13), with the lines that matter
 * shared as in the kernel: mmu_lock is the first field and slots_lock follows on its line, so the
 * ioctl that takes slots_lock disturbs every fault. Fields of one subsystem stay together; each
 * group starts a line of its own, as the large arrays between them see to in the kernel.
 *
 * Deviations: only the fields that the fault path, the dirty log, the notifiers and the memslot
 * ioctls touch; sequence counters have 32 bits.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { INVALIDATE_SEQUENCE_BYTES } from '../../sync/invalidate-sequence.ts';
import type { Lock } from '../../sync/lock.ts';
import { memcacheBytes } from '../base/memcache.ts';
import { alignUp } from './address.ts';

/** Low halves of linear-map addresses; the high half is that of struct kvm. */
export interface KvmFields {
  readonly mmuLock: number;
  readonly slotsLock: number;
  /** kvm->memslots: index of the active set (32 bits). */
  readonly memslots: number;
  /** kvm->nr_memslots_dirty_logging. */
  readonly loggingSlots: number;
  /** kvm->mn_invalidate_lock, mn_active_invalidate_count. */
  readonly notifierLock: number;
  readonly activeInvalidations: number;
  /** kvm->arch.mmu.vmid: lo = VMID, hi = generation (64 bits). */
  readonly vmid: number;
  /** kvm->arch.mmu.pgd_phys: physical address of the root (64 bits). */
  readonly pgd: number;
  /** kvm->arch.mmu.split_page_cache. */
  readonly splitCache: number;
  /** vCPUs that have answered the last kick; set for the notifier actors to end. */
  readonly kicksAnswered: number;
  readonly notifierStop: number;
  /** kvm->mmu_invalidate_seq, mmu_invalidate_in_progress. */
  readonly invalidate: number;
}

export interface KvmStruct {
  /** Linear-map address. */
  readonly address: Address;
  readonly field: KvmFields;
}

const LINE = 64;
const SLOTS_LOCK_BYTES = 40;

/** Allocates struct kvm on a node and names its fields (`kvm->mmu_lock`). */
export function bootStructKvm(
  boot: BootMemory,
  name: string,
  node: number,
  mmuLock: Lock,
  splitCacheCapacity: number,
): KvmStruct {
  const slotsLock = alignUp(mmuLock.bytes, 8);
  const memslots = alignUp(slotsLock + SLOTS_LOCK_BYTES, LINE);
  const notifier = memslots + LINE;
  const mmu = notifier + LINE;
  const splitCache = mmu + LINE;
  const invalidate = splitCache + memcacheBytes(splitCacheCapacity);
  const requests = invalidate + LINE;
  const bytes = requests + 2 * LINE;
  const physical = boot.allocate(node, bytes);
  const named = (field: string, offset: number, size: number): void => {
    boot.name(`${name}->${field}`, addBytes(physical, offset), size);
  };
  named('mmu_lock', 0, mmuLock.bytes);
  named('slots_lock', slotsLock, SLOTS_LOCK_BYTES);
  named('memslots', memslots, 16);
  named('mn_invalidate_lock', notifier, 16);
  named('arch.mmu', mmu, LINE);
  named('arch.mmu.split_page_cache', splitCache, memcacheBytes(splitCacheCapacity));
  named('mmu_invalidate_seq', invalidate, INVALIDATE_SEQUENCE_BYTES);
  named('requests', requests, LINE);
  mmuLock.init?.(boot, physical);
  const address = toLinear(physical);
  const at = (offset: number): number => (address.lo + offset) | 0;
  return {
    address,
    field: {
      mmuLock: at(0),
      slotsLock: at(slotsLock),
      memslots: at(memslots),
      loggingSlots: at(memslots + 8),
      notifierLock: at(notifier),
      activeInvalidations: at(notifier + 8),
      vmid: at(mmu),
      pgd: at(mmu + 8),
      splitCache: at(splitCache),
      kicksAnswered: at(requests),
      notifierStop: at(requests + LINE),
      invalidate: at(invalidate),
    },
  };
}
