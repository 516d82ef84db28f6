/**
 * The dirty bitmap of a memslot: mark_page_dirty_in_slot (virt/kvm/kvm_main.c), one atomic set_bit
 * per fault that opens a page for writing, after mmu_lock is dropped.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { setBit } from '../base/bitmap.ts';
import type { SlotImage } from './vm.ts';

const PAGE_BYTES = 4096;

export function markPageDirty(cpu: Cpu, slot: SlotImage, offset: number): boolean {
  return setBit(cpu, slot.bitmapHi, slot.bitmapLo, Math.floor(offset / PAGE_BYTES));
}
