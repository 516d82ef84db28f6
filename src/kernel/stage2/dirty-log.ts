/**
 * Dirty logging: enabling and disabling by a memslot flag (kvm_set_memory_region,
 * kvm_arch_commit_memory_region), KVM_GET_DIRTY_LOG (kvm_get_dirty_log_protect) and
 * KVM_CLEAR_DIRTY_LOG (kvm_clear_dirty_log_protect, kvm_arch_mmu_enable_log_dirty_pt_masked;
 * virt/kvm/kvm_main.c, arch/arm64/kvm/mmu.c).
 *
 * With manualProtect, reading the log changes nothing and clearing it write-protects what it
 * clears; with initiallySet all pages start dirty, so enabling protects nothing and blocks are
 * split chunk by chunk with the clears.
 *
 * Deviation: words of 32 pages where the kernel has 64.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { takeBits, takeWord } from '../base/bitmap.ts';
import { changeSlotFlags, lockSlots, unlockSlots } from './memslot-update.ts';
import { SlotFlag } from './memslots.ts';
import { promoteInPlace } from './promote.ts';
import { splitHugePages } from './split.ts';
import { flushRange } from './tlb-flush.ts';
import type { SlotImage, Vm } from './vm.ts';
import { writeProtectRange } from './write-protect.ts';

const PAGE_BYTES = 4096;
const WORD_PAGES = 32;

/** kvm_dirty_log_manual_protect_and_init_set. */
function protectsOnClear(vm: Vm): boolean {
  return vm.options.manualProtect && vm.options.initiallySet;
}

/** KVM_SET_USER_MEMORY_REGION with KVM_MEM_LOG_DIRTY_PAGES. */
export function* enableDirtyLog(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  const initially = protectsOnClear(vm) ? -1 : 0;
  yield* fillBitmap(cpu, slot, initially);
  yield* changeSlotFlags(cpu, vm, slot, SlotFlag.Logging);
  yield* addLogging(cpu, vm, 1);
  if (!protectsOnClear(vm)) {
    yield writeProtectSlot(cpu, vm, slot);
    if (vm.options.split === 'eager') {
      yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
      yield splitHugePages(cpu, vm, slot.baseIpa, slot.baseIpa + slot.bytes);
      yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
    }
  }
  yield* unlockSlots(cpu, vm);
}

/** KVM_SET_USER_MEMORY_REGION without the flag; blocks come back as promote= says. */
export function* disableDirtyLog(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  yield* changeSlotFlags(cpu, vm, slot, 0);
  yield* addLogging(cpu, vm, -1);
  if (vm.options.promote === 'in-place') yield promoteInPlace(cpu, vm, slot);
  yield* unlockSlots(cpu, vm);
}

/** kvm->nr_memslots_dirty_logging. */
function* addLogging(cpu: Cpu, vm: Vm, change: number): Program {
  while (!cpu.add32(vm.kvmHi, vm.field.loggingSlots, change, Order.Relaxed)) yield;
}

/** kvm_alloc_dirty_bitmap: zeroed, or bitmap_set for all pages. */
function* fillBitmap(cpu: Cpu, slot: SlotImage, word: number): Program {
  for (let index = 0; index < bitmapWords(slot); index++) {
    const left = slot.pages - index * WORD_PAGES;
    const value = left < WORD_PAGES ? word & ((1 << left) - 1) : word;
    const at = (slot.bitmapLo + index * 4) | 0;
    while (!cpu.store32(slot.bitmapHi, at, value, Order.Relaxed)) yield;
  }
}

export function bitmapWords(slot: SlotImage): number {
  return Math.ceil(slot.pages / WORD_PAGES);
}

/** kvm_mmu_wp_memory_region: one flush for the whole slot, after the unlock. */
export function* writeProtectSlot(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  yield* writeProtectRange(cpu, vm, slot.baseIpa, slot.baseIpa + slot.bytes);
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
  yield* flushRange(cpu, vm, slot.baseIpa, slot.bytes);
  cpu.event(EventKind.WriteProtectFlushed, 0, 0);
}

/**
 * KVM_GET_DIRTY_LOG: the bitmap arrives in user space's copy. Without manualProtect it is taken
 * (cleared) and its pages are write-protected under one hold of mmu_lock.
 */
export function* getDirtyLog(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  const { bitmapHi, bitmapLo, userBitmapLo } = slot;
  cpu.begin(Metric.DirtyLogGet);
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  const takes = !vm.options.manualProtect;
  let flushes = false;
  if (takes) yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  for (let word = 0; word < bitmapWords(slot); word++) {
    while (!cpu.load32(bitmapHi, (bitmapLo + word * 4) | 0, Order.Relaxed)) yield;
    let bits = cpu.lo;
    if (takes && bits !== 0) {
      while (!takeWord(cpu, bitmapHi, bitmapLo, word)) yield;
      bits = cpu.lo;
      flushes = true;
      yield* protectMasked(cpu, vm, slot, word, bits);
    }
    while (!cpu.store32(bitmapHi, (userBitmapLo + word * 4) | 0, bits, Order.Relaxed)) yield;
  }
  if (takes) yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
  if (flushes) yield* flushRange(cpu, vm, slot.baseIpa, slot.bytes);
  cpu.event(EventKind.WriteProtectFlushed, 0, 0);
  yield* unlockSlots(cpu, vm);
  cpu.end(Metric.DirtyLogGet);
}

/**
 * KVM_CLEAR_DIRTY_LOG of [firstPage, firstPage + pages), multiples of 32 but for the slot's end:
 * clears what user space's copy has set, write-protects it, flushes once.
 */
export function* clearDirtyLog(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  firstPage: number,
  pages: number,
): Program {
  const { bitmapHi, bitmapLo, userBitmapLo } = slot;
  cpu.begin(Metric.DirtyLogClear);
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  let flushes = false;
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  const end = Math.ceil(Math.min(slot.pages, firstPage + pages) / WORD_PAGES);
  for (let word = Math.floor(firstPage / WORD_PAGES); word < end; word++) {
    while (!cpu.load32(bitmapHi, (userBitmapLo + word * 4) | 0, Order.Relaxed)) yield;
    if (cpu.lo === 0) continue;
    const asked = cpu.lo;
    while (!takeBits(cpu, bitmapHi, bitmapLo, word, asked)) yield;
    if (cpu.lo === 0) continue;
    flushes = true;
    yield* protectMasked(cpu, vm, slot, word, cpu.lo);
  }
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
  if (flushes) yield* flushRange(cpu, vm, slot.baseIpa, slot.bytes);
  cpu.event(EventKind.WriteProtectFlushed, 0, 0);
  yield* unlockSlots(cpu, vm);
  cpu.end(Metric.DirtyLogClear);
}

/** kvm_arch_mmu_enable_log_dirty_pt_masked: from the first to the last page of the mask. */
function* protectMasked(cpu: Cpu, vm: Vm, slot: SlotImage, word: number, mask: number): Program {
  const first = 31 - Math.clz32(mask & -mask);
  const last = 31 - Math.clz32(mask);
  const base = slot.baseIpa + word * WORD_PAGES * PAGE_BYTES;
  const start = base + first * PAGE_BYTES;
  const end = base + (last + 1) * PAGE_BYTES;
  yield* writeProtectRange(cpu, vm, start, end);
  // Otherwise the blocks were split when logging began.
  if (vm.options.split === 'eager' && protectsOnClear(vm)) {
    yield* splitHugePages(cpu, vm, start, end);
  }
}
