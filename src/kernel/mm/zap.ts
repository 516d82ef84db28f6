/**
 * Taking a VMA's pages and tables out of the page tables (Linux mm/memory.c: unmap_vmas,
 * zap_pte_range, zap_huge_pmd, free_pte_range; v6.13).
 *
 * Deviation: only tables of pages are freed. Those above stay, as the other mappings of a real
 * process keep them.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { isTable, isValid, outputHi, outputLo } from '../../translation/descriptors.ts';
import { GRANULE_4K, levelShift } from '../../translation/granule.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { isWritable, LEAF_FILE_HI, LEAF_SPECIAL_HI } from './leaf.ts';
import { MIB_2 } from './mm-struct.ts';
import type { MmuGather } from './mmu-gather.ts';
import { dirtyPage } from './page-cache.ts';
import { lockTable, PMD_LEVEL, unlockTable, Walked, walkTo } from './page-table.ts';
import { roundDown } from './virtual-address.ts';

const HUGE_SHIFT = 21;

/** Empties [start, end) and collects pages and tables; a full gather is flushed on the way. */
export function* unmapRange(
  cpu: Cpu,
  space: AddressSpace,
  gather: MmuGather,
  start: number,
  end: number,
): Program {
  let next = start;
  for (let address = start; address < end; address = next) {
    yield* walkTo(cpu, space, address, PMD_LEVEL, false);
    next = nextAddress(cpu, address);
    if (cpu.ret !== Walked.Found) continue;
    const { hi: pmdHi, lo: pmdLo } = cpu;
    while (!cpu.load64(pmdHi, pmdLo, Order.Acquire)) yield;
    const { hi, lo } = cpu;
    if (!isValid(lo)) continue;
    if (isTable(lo, PMD_LEVEL)) {
      const last = Math.min(end, address + MIB_2);
      const table = { hi: outputHi(hi, PAGE_SHIFT), lo: outputLo(lo, PAGE_SHIFT) };
      yield zapTable(cpu, space, gather, table, address, last);
    } else {
      yield* zapHugePage(cpu, space, gather, pmdHi, pmdLo, address);
    }
    if (gather.isFull) yield* gather.flush(cpu, space);
  }
}

/** pgd_addr_end and the like: past what the entry covers where the walk ended. */
function nextAddress(cpu: Cpu, address: number): number {
  const level = cpu.ret === Walked.Found ? PMD_LEVEL : cpu.lo;
  const bytes = 2 ** levelShift(GRANULE_4K, level);
  return roundDown(address, bytes) + bytes;
}

/** zap_pte_range: one hold of the table's lock for all its entries. */
function* zapTable(
  cpu: Cpu,
  space: AddressSpace,
  gather: MmuGather,
  table: { readonly hi: number; readonly lo: number },
  start: number,
  end: number,
): Program {
  const hi = table.hi | LINEAR_MAP_HI;
  let sharedDirty = false;
  yield* lockTable(cpu, space, hi, table.lo);
  for (let address = start; address < end; address += PAGE_BYTES) {
    const entry = (table.lo + ((address - start) / PAGE_BYTES) * 8) | 0;
    while (!cpu.load64(hi, entry, Order.Relaxed)) yield;
    if (!isValid(cpu.lo)) continue;
    while (!cpu.swap64(hi, entry, 0, 0, Order.Relaxed)) yield;
    const { hi: oldHi, lo: oldLo } = cpu;
    if ((oldHi & LEAF_SPECIAL_HI) !== 0) {
      gather.addEntry(address);
      continue;
    }
    const isFile = (oldHi & LEAF_FILE_HI) !== 0;
    const pageHi = outputHi(oldHi, PAGE_SHIFT);
    const pageLo = outputLo(oldLo, PAGE_SHIFT);
    if (isFile && isWritable(oldLo)) {
      sharedDirty = true;
      yield* dirtyPage(cpu, space, pageHi, pageLo);
    }
    gather.addPage(address, pageHi, pageLo, isFile);
  }
  // tlb_delay_rmap: a dirty shared page must be out of all TLBs before its table is unlocked.
  if (sharedDirty) yield* gather.flushTlb(cpu, space);
  yield* unlockTable(cpu, space, hi, table.lo);
}

function* zapHugePage(
  cpu: Cpu,
  space: AddressSpace,
  gather: MmuGather,
  pmdHi: number,
  pmdLo: number,
  address: number,
): Program {
  yield* lockTable(cpu, space, pmdHi, pmdLo);
  while (!cpu.swap64(pmdHi, pmdLo, 0, 0, Order.Relaxed)) yield;
  const { hi, lo } = cpu;
  yield* unlockTable(cpu, space, pmdHi, pmdLo);
  gather.addHugePage(address, outputHi(hi, HUGE_SHIFT), outputLo(lo, HUGE_SHIFT));
}

/** free_pgtables: the tables of pages of [start, end), which nothing else maps. */
export function* freeTables(
  cpu: Cpu,
  space: AddressSpace,
  gather: MmuGather,
  start: number,
  end: number,
): Program {
  let next = start;
  for (let address = start; address < end; address = next) {
    yield* walkTo(cpu, space, address, PMD_LEVEL, false);
    next = nextAddress(cpu, address);
    if (cpu.ret !== Walked.Found) continue;
    const { hi: pmdHi, lo: pmdLo } = cpu;
    while (!cpu.load64(pmdHi, pmdLo, Order.Acquire)) yield;
    const { hi, lo } = cpu;
    if (!isTable(lo, PMD_LEVEL)) continue;
    // pmd_clear: nobody else changes this entry once the VMA is detached.
    while (!cpu.store64(pmdHi, pmdLo, 0, 0, Order.Release)) yield;
    gather.addTable(address, outputHi(hi, PAGE_SHIFT), outputLo(lo, PAGE_SHIFT));
  }
}
