/**
 * First touch of a mapped file (Linux mm/memory.c: do_read_fault, do_cow_fault, do_shared_fault,
 * finish_fault, fault_dirty_shared_page; v6.13). The page-cache page is referenced and locked while
 * it is copied or mapped; a private writable mapping gets a copy of its own.
 *
 * Deviations: no fault-around on reads; tmpfs, so no page_mkwrite.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { isValid } from '../../translation/descriptors.ts';
import { ENOMEM } from '../base/errno.ts';
import { copyPages } from '../base/page-operations.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { LEAF_FILE_HI, setLeaf } from './leaf.ts';
import { VmaKind } from './mm-struct.ts';
import { allocateUserPage } from './numa-policy.ts';
import { dirtyPage, faultInFilePage, putPage, unlockPage } from './page-cache.ts';
import { lockTable, PTE_LEVEL, unlockTable, Walked, walkTo } from './page-table.ts';
import { type FaultVma, prepareAnonVma } from './vma.ts';

/** ret = 0 or -ENOMEM. */
export function* faultFilePage(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
  write: boolean,
): Program {
  yield* walkTo(cpu, space, address, PTE_LEVEL, true);
  if (cpu.ret !== Walked.Found) return;
  const { hi: entryHi, lo: entryLo } = cpu;
  const index = Math.floor((address - vma.start) / PAGE_BYTES);
  if (write && vma.kind === VmaKind.PrivateFile) {
    yield faultCopy(cpu, space, vma, index, entryHi, entryLo);
    return;
  }
  yield* faultInFilePage(cpu, space, vma.fileHi, vma.fileLo, index);
  if (cpu.ret < 0) return;
  const { hi, lo } = cpu;
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isOurs = !isValid(cpu.lo);
  if (isOurs) {
    yield* setLeaf(cpu, entryHi, entryLo, hi, lo, PTE_LEVEL, write, LEAF_FILE_HI);
  }
  yield* unlockTable(cpu, space, entryHi, entryLo);
  if (write && isOurs) yield* dirtyPage(cpu, space, hi, lo);
  yield* unlockPage(cpu, space, hi, lo);
  // The mapping keeps the reference of the fault.
  if (!isOurs) yield* putPage(cpu, space, hi, lo);
  cpu.ret = 0;
}

/** do_cow_fault: the new page first, then the file's, then the copy. */
function* faultCopy(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  index: number,
  entryHi: number,
  entryLo: number,
): Program {
  yield* prepareAnonVma(cpu, space, vma);
  yield* allocateUserPage(cpu, space.pages, space.policy, 0, index);
  if (cpu.ret === -ENOMEM) return;
  const { hi, lo } = cpu;
  yield* faultInFilePage(cpu, space, vma.fileHi, vma.fileLo, index);
  if (cpu.ret < 0) {
    yield space.pages.free(cpu, hi, lo, 0);
    cpu.ret = -ENOMEM;
    return;
  }
  const { hi: fromHi, lo: fromLo } = cpu;
  yield* copyPages(cpu, hi | LINEAR_MAP_HI, lo, fromHi | LINEAR_MAP_HI, fromLo, PAGE_BYTES);
  yield* lockTable(cpu, space, entryHi, entryLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isOurs = !isValid(cpu.lo);
  if (isOurs) yield* setLeaf(cpu, entryHi, entryLo, hi, lo, PTE_LEVEL, true);
  yield* unlockTable(cpu, space, entryHi, entryLo);
  yield* unlockPage(cpu, space, fromHi, fromLo);
  yield* putPage(cpu, space, fromHi, fromLo);
  if (!isOurs) yield space.pages.free(cpu, hi, lo, 0);
  cpu.ret = 0;
}
