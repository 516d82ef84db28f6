/**
 * A virtual machine as programs know it. A VmImage is plain data (addresses and numbers, made by
 * boot-vm.ts); a Vm is what one CPU opens on it: the same addresses and the programs of its locks.
 * Nothing in a Vm changes; whatever two CPUs can see is in emulated memory.
 */

import type { Lock, ReadWriteLock } from '../../sync/lock.ts';
import { readWriteLockByName, spinlockByName } from '../../sync/registry.ts';
import { makeReadWriteSemaphore } from '../../sync/rwsem.ts';
import { makeUnlocked } from '../../sync/unlocked.ts';
import { GRANULE_4K, type Granule } from '../../translation/granule.ts';
import { PageAllocator, type PageAllocatorImage } from '../base/page-allocator.ts';
import { Rcu, type RcuImage } from '../base/rcu-callbacks.ts';
import type { SrcuDomain } from '../base/srcu.ts';
import type { GuestImage } from './guest-tables.ts';
import type { HostTable } from './host-table.ts';
import type { MemslotSets, SlotExtent } from './memslots.ts';
import type { MmStruct } from './mm-struct.ts';
import type { Stage2Options } from './options.ts';
import { type Stage2Steps, stage2Steps } from './steps.ts';
import type { KvmFields } from './struct-kvm.ts';
import type { BootTables } from './struct-page-of.ts';
import { freeAfterGracePeriod } from './table-page.ts';
import type { UserfaultContext } from './userfault.ts';
import type { VmidAllocator } from './vmid.ts';

/** Stage 2 has the host's page size; hosts with 16K and 64K pages are not modelled. */
export const STAGE2_GRANULE: Granule = GRANULE_4K;

/** One memslot: where it is in the guest, and what stands behind it. Plain data. */
export interface SlotImage extends SlotExtent {
  readonly baseIpa: number;
  readonly bytes: number;
  /** Guest virtual address of its first byte; null = not mapped by the guest. */
  readonly guestVirtual: number | null;
  readonly host: HostTable;
  /** Linear-map addresses of the dirty bitmap and of user space's copy; one bit per page. */
  readonly bitmapHi: number;
  readonly bitmapLo: number;
  readonly userBitmapLo: number;
  /** userfaultfd contexts by equal parts of the slot; empty = not registered. */
  readonly userfaults: readonly UserfaultContext[];
}

/** Plain data. */
export interface VmImage {
  readonly index: number;
  readonly name: string;
  readonly options: Stage2Options;
  readonly fwb: boolean;
  readonly tlbirange: boolean;
  readonly dic: boolean;
  readonly ipaBits: number;
  readonly startLevel: number;
  /** High half of the linear-map address of struct kvm. */
  readonly kvmHi: number;
  readonly field: KvmFields;
  readonly srcu: SrcuDomain;
  readonly mm: MmStruct;
  readonly memslots: MemslotSets;
  readonly slots: readonly SlotImage[];
  readonly bootTables: BootTables;
  readonly guest: GuestImage;
  readonly vcpus: readonly VcpuImage[];
}

/** struct kvm_vcpu: its memcache, which only its thread touches, and its mode. Plain data. */
export interface VcpuImage {
  readonly index: number;
  readonly cpu: number;
  /** Linear-map address of its memcache. */
  readonly hi: number;
  readonly memcacheLo: number;
  /** vcpu->mode: 1 = in guest mode. */
  readonly modeLo: number;
}

/** All VMs of a run and the kernel parts that they share. Plain data. */
export interface KvmImage {
  readonly vms: readonly VmImage[];
  readonly pages: PageAllocatorImage;
  readonly rcu: RcuImage;
  readonly vmids: VmidAllocator;
}

export interface Vm {
  readonly image: VmImage;
  readonly index: number;
  readonly options: Stage2Options;
  readonly granule: Granule;
  readonly pageBytes: number;
  readonly startLevel: number;
  readonly ipaBits: number;
  readonly fwb: boolean;
  readonly tlbirange: boolean;
  readonly dic: boolean;
  readonly kvmHi: number;
  readonly field: KvmFields;
  readonly mmuLock: ReadWriteLock;
  /** mm->mmap_lock, or nothing with mmapLock=none. */
  readonly mmapLock: ReadWriteLock;
  /** spinlock_t: slots_lock (a mutex in Linux), split page-table locks, mn_invalidate_lock, ... */
  readonly spinlock: Lock;
  readonly pages: PageAllocator;
  readonly rcu: Rcu;
  readonly vmids: VmidAllocator;
  readonly steps: Stage2Steps;
}

/** Zone locks of the page allocator that bootKvm makes. */
export const ZONE_LOCK = 'spinlock';

/** Opens all VMs of an image on one CPU; they share its RCU callbacks. */
export function openVms(image: KvmImage, steps: Stage2Steps = stage2Steps): readonly Vm[] {
  const pages = new PageAllocator(image.pages, spinlockByName(ZONE_LOCK));
  const vms: Vm[] = [];
  const rcu = new Rcu(
    image.rcu,
    image.vms.map((_, index) => (cpu, hi, lo) => freeAfterGracePeriod(cpu, vms[index]!, hi, lo)),
  );
  for (const vm of image.vms) vms.push(openVm(vm, pages, rcu, image.vmids, steps));
  return vms;
}

function openVm(
  image: VmImage,
  pages: PageAllocator,
  rcu: Rcu,
  vmids: VmidAllocator,
  steps: Stage2Steps,
): Vm {
  const { options } = image;
  return {
    image,
    index: image.index,
    options,
    granule: STAGE2_GRANULE,
    pageBytes: 2 ** STAGE2_GRANULE.shift,
    startLevel: image.startLevel,
    ipaBits: image.ipaBits,
    fwb: image.fwb,
    tlbirange: image.tlbirange,
    dic: image.dic,
    kvmHi: image.kvmHi,
    field: image.field,
    mmuLock: readWriteLockByName(options.mmuLock),
    mmapLock: options.mmapLock === 'none' ? makeUnlocked() : makeReadWriteSemaphore(),
    spinlock: spinlockByName('spinlock'),
    pages,
    rcu,
    vmids,
    steps,
  };
}
