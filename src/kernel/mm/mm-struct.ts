/**
 * An address space in emulated memory: struct mm_struct, its VMAs, the root of its page tables
 * (include/linux/mm_types.h, v6.13).
 *
 * mmap_lock lies 120 bytes into mm_struct, so that its count ends one line, with page_table_lock
 * beside it, and its owner begins the next (commit 2e3025434a6b).
 *
 * Deviations: no maple tree. The mmap area is cut into slots of equal size, each with room for one
 * VMA, so the tree walk is the cost vmaLookup and the read of the VMA. Neighbours never merge.
 */

import { assert } from '../../base/assert.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { initVmaLock, VMA_LOCK_BYTES } from '../../sync/per-vma-lock.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';

export const MmField = {
  MapCount: 16,
  ContextId: 24,
  PageTableLock: 112,
  MmapLock: 120,
  LockSequence: 192,
  Vmas: 256,
} as const;

/** vm_lock_seq and vm_lock are where per-vma-lock.ts wants them: at 0 and from 64 on. */
export const VmaField = { Kind: 4, Start: 8, End: 16, File: 24, AnonVma: 32 } as const;
export const VMA_BYTES = 128;

/** What a VMA maps; None: no VMA (detached). */
export const VmaKind = { None: 0, Anonymous: 1, SharedFile: 2, PrivateFile: 3 } as const;
export type VmaKind = (typeof VmaKind)[keyof typeof VmaKind];

export const MIB_2 = 2 ** 21;
/** Lowest address that mmap gives out: one that no other mapping of the process is near. */
const MMAP_BASE = 2 ** 46;

/** Plain data. */
export interface MmImage {
  /** Linear-map address of mm_struct. */
  readonly hi: number;
  readonly lo: number;
  /** Physical address of the root table. */
  readonly rootHi: number;
  readonly rootLo: number;
  readonly slots: number;
  readonly slotBytes: number;
}

export interface MmBoot {
  readonly name: string;
  readonly node: number;
  /** VMAs that may exist at once, and the largest of them. */
  readonly slots: number;
  readonly areaBytes: number;
  readonly pageTableLock: Lock;
}

/** Backed bytes of an address space, its root table included. */
export function mmBytes(slots: number): number {
  return MmField.Vmas + slots * VMA_BYTES + 2 * PAGE_BYTES;
}

export function bootMm(boot: BootMemory, options: MmBoot): MmImage {
  const { name, node, slots, pageTableLock } = options;
  assert(pageTableLock.bytes <= 8, `page-table lock ${pageTableLock.name} needs more than 8 bytes`);
  assert(VMA_LOCK_BYTES <= VMA_BYTES, `VMA lock of ${VMA_LOCK_BYTES} bytes`);
  const physical = boot.allocate(node, MmField.Vmas + slots * VMA_BYTES);
  // A line goes by the first name it gets: this one by the lock that is hot on it.
  boot.name(`${name}->mmap_lock`, addBytes(physical, MmField.MmapLock), 40);
  boot.name(`${name}->page_table_lock`, addBytes(physical, MmField.PageTableLock), 8);
  boot.name(`${name}->mm_lock_seq`, addBytes(physical, MmField.LockSequence), 4);
  boot.name(`${name}->vma`, addBytes(physical, MmField.Vmas), slots * VMA_BYTES);
  pageTableLock.init?.(boot, addBytes(physical, MmField.PageTableLock));
  for (let slot = 0; slot < slots; slot++) {
    initVmaLock(boot, addBytes(physical, MmField.Vmas + slot * VMA_BYTES));
  }
  const root = boot.allocateNamed(`${name}->pgd`, node, PAGE_BYTES, PAGE_BYTES);
  let slotBytes = MIB_2;
  while (slotBytes < options.areaBytes) slotBytes *= 2;
  const { hi, lo } = toLinear(physical);
  return { hi, lo, rootHi: root.hi, rootLo: root.lo, slots, slotBytes };
}

/** Where the VMA of a slot starts. */
export function slotStart(mm: MmImage, slot: number): number {
  return MMAP_BASE + slot * mm.slotBytes;
}

/** Slot of an address, or -1. */
export function slotOf(mm: MmImage, address: number): number {
  const slot = Math.floor((address - MMAP_BASE) / mm.slotBytes);
  return slot >= 0 && slot < mm.slots ? slot : -1;
}

/** Address (low half) of a slot's VMA; the high half is the mm's. */
export function vmaLo(mm: MmImage, slot: number): number {
  return (mm.lo + MmField.Vmas + slot * VMA_BYTES) | 0;
}
