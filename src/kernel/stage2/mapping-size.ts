/**
 * How large a fault may map: get_vma_page_shift, fault_supports_stage2_huge_mapping,
 * transparent_hugepage_adjust, get_user_mapping_size (arch/arm64/kvm/mmu.c). hugetlb pages say it
 * by their VMA; for transparent huge pages the host's page table is read, under mmu_lock, where the
 * sequence check keeps it valid. Dirty logging forces pages.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { alignDown, powerOfTwo } from './address.ts';
import { HostEntry, type HostEntryRead, PMD_SHIFT, readUpper } from './host-table.ts';
import type { SlotImage, Vm } from './vm.ts';

const PAGE_SHIFT = 12;
const PUD_SHIFT = 30;

/** Is the block around the offset inside the slot, and aligned alike in guest and host? */
function fitsSlot(slot: SlotImage, offset: number, shift: number): boolean {
  const bytes = powerOfTwo(shift);
  const start = alignDown(offset, bytes);
  return slot.baseIpa % bytes === 0 && start + bytes <= slot.bytes;
}

/**
 * Result in cpu.ret: log2 of the mapping. `hugetlbShift`: of the VMA's pages, 0 if it is no hugetlb
 * VMA. `granuleShift`: of the entry that a permission fault hit, 0 for other faults. `scratch` is
 * overwritten. One access, or none.
 */
export function mappingShift(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  logging: boolean,
  hugetlbShift: number,
  granuleShift: number,
  scratch: HostEntryRead,
): boolean {
  cpu.ret = PAGE_SHIFT;
  if (logging) return true;
  if (hugetlbShift > 0) {
    // A contiguous page counts as the next smaller size that stage 2 has: it never sets CONT.
    if (hugetlbShift >= PUD_SHIFT && fitsSlot(slot, offset, PUD_SHIFT)) cpu.ret = PUD_SHIFT;
    else if (hugetlbShift >= PMD_SHIFT && fitsSlot(slot, offset, PMD_SHIFT)) cpu.ret = PMD_SHIFT;
    return true;
  }
  if (granuleShift > vm.granule.shift) {
    cpu.ret = granuleShift;
    return true;
  }
  if (!fitsSlot(slot, offset, PMD_SHIFT)) return true;
  if (!readUpper(cpu, slot.host, offset, scratch)) return false;
  const isBlock = (scratch.lo & (HostEntry.Present | HostEntry.Table)) === HostEntry.Present;
  cpu.ret = isBlock && slot.host.backing.kind === 'transparent-huge' ? PMD_SHIFT : PAGE_SHIFT;
  return true;
}
