/**
 * struct mm_struct and the VMAs of the VMM (include/linux/mm_types.h), and the lock that protects a
 * VMA look-up in the fault path: mmap_lock for reading, the VMA's own lock, or nothing.
 *
 * mmap_lock lies 120 bytes into mm_struct, so that its count ends one line and its owner begins the
 * next, as the kernel sees to (commit 2e3025434a6b): every reader writes both.
 *
 * Deviation: one VMA per memslot, found by number; the tree walk is a cost and the reads of the
 * VMA.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { initVmaLock, VMA_LOCK_BYTES, vmaEndRead, vmaStartRead } from '../../sync/per-vma-lock.ts';
import { rcuReadLock, rcuReadUnlock } from '../base/rcu.ts';
import { addressHi, addressLo } from './address.ts';
import type { Backing } from './backing.ts';
import type { Vm } from './vm.ts';

const MMAP_LOCK = 120;
const LOCK_SEQUENCE = 192;
const MM_BYTES = 256;
const VMA_BYTES = 64;
/** Page numbers leave the top byte of their word free. */
const HUGETLB_SHIFT_HI = 24;

/** Plain data; linear-map addresses with one high half. */
export interface MmStruct {
  readonly hi: number;
  readonly mmapLock: number;
  readonly lockSequence: number;
  /** By memslot: vm_start, vm_end (with the size of hugetlb pages), and the VMA's own lock. */
  readonly vmas: readonly number[];
  readonly vmaLocks: readonly number[];
}

/** What a VMA is made from: a memslot. */
export interface BootVma {
  readonly basePage: number;
  readonly pages: number;
  readonly host: { readonly backing: Backing };
}

/** High half of a VMA's second word: its end (a page number), log2 of its pages if hugetlb. */
export function vmaEndHi(end: number, hugetlbShift: number): number {
  return (hugetlbShift << HUGETLB_SHIFT_HI) | addressHi(end);
}

/** After readVmaEnd: log2 of the pages of a hugetlb VMA (hstate), 0 of any other. */
export function hugetlbShiftOf(cpu: Cpu): number {
  return cpu.hi >>> HUGETLB_SHIFT_HI;
}

export function bootMm(boot: BootMemory, node: number, slots: readonly BootVma[]): MmStruct {
  const physical = boot.allocate(node, MM_BYTES);
  boot.name('mm->mmap_lock', addBytes(physical, MMAP_LOCK), 40);
  boot.name('mm->mm_lock_seq', addBytes(physical, LOCK_SEQUENCE), 8);
  const vmas: number[] = [];
  const vmaLocks: number[] = [];
  slots.forEach((slot, id) => {
    const vma = boot.allocateNamed(`vma${id}`, node, VMA_BYTES);
    boot.write64(vma, 0, addressHi(slot.basePage), addressLo(slot.basePage));
    const end = slot.basePage + slot.pages;
    const { kind, unitShift } = slot.host.backing;
    boot.write64(vma, 8, vmaEndHi(end, kind === 'hugetlb' ? unitShift : 0), addressLo(end));
    const lock = boot.allocateNamed(`vma${id}->vm_lock`, node, VMA_LOCK_BYTES);
    initVmaLock(boot, lock);
    vmas.push(vma.lo);
    vmaLocks.push(lock.lo);
  });
  const { hi, lo } = toLinear(physical);
  return { hi, mmapLock: lo + MMAP_LOCK, lockSequence: lo + LOCK_SEQUENCE, vmas, vmaLocks };
}

/** What lockVma took: undone by unlockVma. */
export const VmaHold = { MmapLock: 0, Vma: 1 } as const;

/** Locks the look-up of a slot's VMA and finds it. Result in cpu.ret: a VmaHold. */
export function* lockVma(cpu: Cpu, vm: Vm, slot: number): Program {
  yield* lockLookUp(cpu, vm, slot);
  const hold = holdOf(cpu, vm);
  cpu.spend(Cost.VmaLookup);
  while (!readVmaStart(cpu, vm, slot)) yield;
  while (!readVmaEnd(cpu, vm, slot)) yield;
  cpu.ret = hold;
}

/** mmap_read_lock, or the VMA's own lock; holdOf says at once afterwards which. */
export function lockLookUp(cpu: Cpu, vm: Vm, slot: number): Program {
  if (vm.options.mmapLock === 'per-vma') return lockOwn(cpu, vm, slot);
  const { mm } = vm.image;
  return vm.mmapLock.acquireRead(cpu, mm.hi, mm.mmapLock);
}

export function holdOf(cpu: Cpu, vm: Vm): number {
  return vm.options.mmapLock === 'per-vma' ? cpu.ret : VmaHold.MmapLock;
}

/** lock_vma_under_rcu, and mmap_lock if that fails. Result in cpu.ret: a VmaHold. */
function* lockOwn(cpu: Cpu, vm: Vm, slot: number): Program {
  const { mm } = vm.image;
  yield* rcuReadLock(cpu);
  const vma = { hi: mm.hi, lo: mm.vmaLocks[slot]! };
  yield* vmaStartRead(cpu, vma, { hi: mm.hi, lo: mm.lockSequence });
  const hold = cpu.ret === 1 ? VmaHold.Vma : VmaHold.MmapLock;
  yield* rcuReadUnlock(cpu);
  if (hold === VmaHold.MmapLock) yield* vm.mmapLock.acquireRead(cpu, mm.hi, mm.mmapLock);
  cpu.ret = hold;
}

/** vma_lookup: the walk to the VMA is a cost, its bounds are read. */
export function readVmaStart(cpu: Cpu, vm: Vm, slot: number): boolean {
  const { mm } = vm.image;
  return cpu.load64(mm.hi, mm.vmas[slot]!, Order.Relaxed);
}

export function readVmaEnd(cpu: Cpu, vm: Vm, slot: number): boolean {
  const { mm } = vm.image;
  return cpu.load64(mm.hi, mm.vmas[slot]! + 8, Order.Relaxed);
}

export function unlockVma(cpu: Cpu, vm: Vm, slot: number, hold: number): Program {
  const { mm } = vm.image;
  if (hold === VmaHold.Vma) return vmaEndRead(cpu, { hi: mm.hi, lo: mm.vmaLocks[slot]! });
  return vm.mmapLock.releaseRead(cpu, mm.hi, mm.mmapLock);
}
