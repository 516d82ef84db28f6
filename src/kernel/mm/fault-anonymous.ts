/**
 * First touch of anonymous memory (Linux mm/memory.c: do_anonymous_page; mm/huge_memory.c:
 * do_huge_pmd_anonymous_page, __do_huge_pmd_anonymous_page; v6.13). The page is allocated and
 * zeroed before the table's lock is taken; whoever finds the entry filled gives its page back.
 *
 * Deviations: no table is deposited for a later split of a huge page; no memory cgroup, LRU list or
 * reverse map (their path length is in the cost hostFault).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { isValid } from '../../translation/descriptors.ts';
import { ENOMEM } from '../base/errno.ts';
import { HUGE_ORDER } from '../base/page-lists.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { LEAF_SPECIAL_HI, setLeaf } from './leaf.ts';
import { MIB_2 } from './mm-struct.ts';
import { allocateUserPage } from './numa-policy.ts';
import { lockTable, PMD_LEVEL, PTE_LEVEL, unlockTable, Walked, walkTo } from './page-table.ts';
import { roundDown } from './virtual-address.ts';
import { type FaultVma, prepareAnonVma } from './vma.ts';

/** ret = 0 or -ENOMEM. */
export function* faultAnonymousPage(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
  write: boolean,
): Program {
  yield* walkTo(cpu, space, address, PTE_LEVEL, true);
  if (cpu.ret !== Walked.Found) {
    // A huge page of another thread covers it by now.
    if (cpu.ret === Walked.Block) cpu.ret = 0;
    return;
  }
  const { hi: entryHi, lo: entryLo } = cpu;
  let page = space.zeroPage;
  if (write) {
    yield* prepareAnonVma(cpu, space, vma);
    const index = (address - vma.start) / PAGE_BYTES;
    yield* allocateUserPage(cpu, space.pages, space.policy, 0, Math.floor(index));
    if (cpu.ret === -ENOMEM) return;
    page = { hi: cpu.hi, lo: cpu.lo };
    yield* zeroPages(cpu, page.hi | LINEAR_MAP_HI, page.lo, PAGE_BYTES);
  }
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isOurs = !isValid(cpu.lo);
  if (isOurs) {
    const software = write ? 0 : LEAF_SPECIAL_HI;
    yield* setLeaf(cpu, entryHi, entryLo, page.hi, page.lo, PTE_LEVEL, write, software);
  }
  yield* unlockTable(cpu, space, entryHi, entryLo);
  if (!isOurs && write) yield space.pages.free(cpu, page.hi, page.lo, 0);
  cpu.ret = 0;
}

/** Does a whole huge page around the address lie in the VMA (thp_vma_suitable_order)? */
export function isHugeSuitable(vma: FaultVma, address: number): boolean {
  const start = roundDown(address, MIB_2);
  return start >= vma.start && start + MIB_2 <= vma.end;
}

/** ret = 1: done; 0: use pages instead (VM_FAULT_FALLBACK); or -ENOMEM. */
export function* faultHugePage(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
): Program {
  const start = roundDown(address, MIB_2);
  yield* walkTo(cpu, space, address, PMD_LEVEL, true);
  if (cpu.ret !== Walked.Found) return;
  const { hi: entryHi, lo: entryLo } = cpu;
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  if (isValid(cpu.lo)) {
    cpu.ret = 0;
    return;
  }
  yield* prepareAnonVma(cpu, space, vma);
  const index = Math.floor((start - vma.start) / MIB_2);
  yield* allocateUserPage(cpu, space.pages, space.policy, HUGE_ORDER, index);
  if (cpu.ret === -ENOMEM) {
    cpu.ret = 0;
    return;
  }
  const { hi, lo } = cpu;
  yield clearHugePage(cpu, hi, lo);
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isOurs = !isValid(cpu.lo);
  if (isOurs) yield* setLeaf(cpu, entryHi, entryLo, hi, lo, PMD_LEVEL, true);
  yield* unlockTable(cpu, space, entryHi, entryLo);
  if (!isOurs) yield space.pages.free(cpu, hi, lo, HUGE_ORDER);
  cpu.ret = 1;
}

/** folio_zero_user: page by page, so that other CPUs' requests come in between. */
function* clearHugePage(cpu: Cpu, hi: number, lo: number): Program {
  for (let offset = 0; offset < MIB_2; offset += PAGE_BYTES) {
    yield* zeroPages(cpu, hi | LINEAR_MAP_HI, (lo + offset) | 0, PAGE_BYTES);
  }
}
