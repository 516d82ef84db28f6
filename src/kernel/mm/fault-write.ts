/**
 * A write to a page that is mapped read-only (Linux mm/memory.c: do_wp_page, wp_page_shared,
 * wp_page_reuse, wp_page_copy; ptep_clear_flush; v6.13): the zero page and the pages of a private
 * file are replaced by a copy, with the old translation gone everywhere before the new one is
 * there; a page of a shared file becomes writable in place.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { isValid, outputHi, outputLo } from '../../translation/descriptors.ts';
import { ENOMEM } from '../base/errno.ts';
import { copyPages, zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { isWritable, LEAF_FILE_HI, LEAF_SPECIAL_HI, setLeaf } from './leaf.ts';
import { VmaKind } from './mm-struct.ts';
import { allocateUserPage } from './numa-policy.ts';
import { dirtyPage, putPage } from './page-cache.ts';
import { lockTable, PTE_LEVEL, unlockTable, Walked, walkTo } from './page-table.ts';
import { flushTlbPage } from './tlb-flush.ts';
import { roundDown } from './virtual-address.ts';
import { type FaultVma, prepareAnonVma } from './vma.ts';

/** ret = 0 or -ENOMEM. */
export function* faultWriteProtected(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
): Program {
  yield* walkTo(cpu, space, address, PTE_LEVEL, false);
  // Another thread has unmapped it, or a huge page covers it: the access is tried again.
  if (cpu.ret !== Walked.Found) {
    cpu.ret = 0;
    return;
  }
  const { hi: entryHi, lo: entryLo } = cpu;
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const { hi: oldHi, lo: oldLo } = cpu;
  const needsWork = isValid(oldLo) && !isWritable(oldLo);
  if (needsWork && vma.kind === VmaKind.SharedFile) {
    yield* makeWritable(cpu, space, address, entryHi, entryLo, oldHi, oldLo);
    return;
  }
  yield* unlockTable(cpu, space, entryHi, entryLo);
  cpu.ret = 0;
  if (needsWork) yield copyForWrite(cpu, space, vma, address, entryHi, entryLo, oldHi, oldLo);
}

/** wp_page_shared, wp_page_reuse: the table is locked on entry. */
function* makeWritable(
  cpu: Cpu,
  space: AddressSpace,
  address: number,
  entryHi: number,
  entryLo: number,
  oldHi: number,
  oldLo: number,
): Program {
  const hi = outputHi(oldHi, PAGE_SHIFT);
  const lo = outputLo(oldLo, PAGE_SHIFT);
  yield* setLeaf(cpu, entryHi, entryLo, hi, lo, PTE_LEVEL, true, LEAF_FILE_HI);
  // ptep_set_access_flags: entries that still say read-only would only fault again.
  yield* flushTlbPage(cpu, space, roundDown(address, PAGE_BYTES));
  yield* unlockTable(cpu, space, entryHi, entryLo);
  yield* dirtyPage(cpu, space, hi, lo);
  cpu.ret = 0;
}

/** wp_page_copy. */
function* copyForWrite(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
  entryHi: number,
  entryLo: number,
  oldHi: number,
  oldLo: number,
): Program {
  const fromHi = outputHi(oldHi, PAGE_SHIFT);
  const fromLo = outputLo(oldLo, PAGE_SHIFT);
  const isZeroPage = (oldHi & LEAF_SPECIAL_HI) !== 0;
  yield* prepareAnonVma(cpu, space, vma);
  const index = Math.floor((address - vma.start) / PAGE_BYTES);
  yield* allocateUserPage(cpu, space.pages, space.policy, 0, index);
  if (cpu.ret === -ENOMEM) return;
  const { hi, lo } = cpu;
  if (isZeroPage) yield* zeroPages(cpu, hi | LINEAR_MAP_HI, lo, PAGE_BYTES);
  else yield* copyPages(cpu, hi | LINEAR_MAP_HI, lo, fromHi | LINEAR_MAP_HI, fromLo, PAGE_BYTES);
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isSame = cpu.hi === oldHi && cpu.lo === oldLo;
  if (isSame) {
    // Break before make: the output address changes.
    while (!cpu.store64(entryHi, entryLo, 0, 0, Order.Relaxed)) yield;
    yield* flushTlbPage(cpu, space, roundDown(address, PAGE_BYTES));
    yield* setLeaf(cpu, entryHi, entryLo, hi, lo, PTE_LEVEL, true);
  }
  yield* unlockTable(cpu, space, entryHi, entryLo);
  if (!isSame) yield space.pages.free(cpu, hi, lo, 0);
  else if (!isZeroPage) yield* putPage(cpu, space, fromHi, fromLo);
  cpu.ret = 0;
}
