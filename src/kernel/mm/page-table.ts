/**
 * Walking and growing a process's page tables (Linux mm/memory.c: __pud_alloc, __pmd_alloc,
 * __pte_alloc, pmd_install; pte_offset_map_lock; include/linux/mm.h: split page-table locks).
 * Four levels of 4K tables. Upper tables appear under mm->page_table_lock, tables of pages under
 * the lock of the table above; entries of the last two levels change under the lock in the struct
 * page of the table that holds them.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import {
  isTable,
  isValid,
  outputHi,
  outputLo,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import { GRANULE_4K, tableIndex } from '../../translation/granule.ts';
import { ENOMEM } from '../base/errno.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES, PAGE_SHIFT, PageField } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import type { AddressSpace } from './address-space.ts';
import { MmField } from './mm-struct.ts';
import { vaHi, vaLo } from './virtual-address.ts';

/** Level of tables whose entries are 2 MiB (PMD), and of those whose entries are pages (PTE). */
export const PMD_LEVEL = 2;
export const PTE_LEVEL = 3;

/** Results of walkTo in cpu.ret, beside -ENOMEM. */
export const Walked = { Found: 0, NoTable: 1, Block: 2 } as const;

/**
 * Finds the entry for an address in the table of a level. ret = Found and (hi, lo) = its
 * linear-map address; NoTable or Block where the walk ends above, with lo = the level there.
 * `grow`: missing tables are allocated.
 */
export function* walkTo(
  cpu: Cpu,
  space: AddressSpace,
  address: number,
  level: number,
  grow: boolean,
): Program {
  const hi = vaHi(address);
  const lo = vaLo(address);
  let tableHi = space.mm.rootHi | LINEAR_MAP_HI;
  let tableLo = space.mm.rootLo;
  for (let current = 0; current < level; current++) {
    const entryLo = (tableLo + tableIndex(GRANULE_4K, current, hi, lo) * 8) | 0;
    while (!cpu.load64(tableHi, entryLo, Order.Acquire)) yield;
    if (!isValid(cpu.lo)) {
      if (!grow) {
        cpu.ret = Walked.NoTable;
        cpu.lo = current;
        return;
      }
      yield growTable(cpu, space, tableHi, entryLo, current);
      if (cpu.ret < 0) return;
      while (!cpu.load64(tableHi, entryLo, Order.Acquire)) yield;
    }
    if (!isTable(cpu.lo, current)) {
      cpu.ret = Walked.Block;
      cpu.lo = current;
      return;
    }
    tableHi = outputHi(cpu.hi, PAGE_SHIFT) | LINEAR_MAP_HI;
    tableLo = outputLo(cpu.lo, PAGE_SHIFT);
  }
  cpu.hi = tableHi;
  cpu.lo = (tableLo + tableIndex(GRANULE_4K, level, hi, lo) * 8) | 0;
  cpu.ret = Walked.Found;
}

/** Installs a zeroed table in an empty entry of `level`, unless somebody else is faster. */
function* growTable(
  cpu: Cpu,
  space: AddressSpace,
  entryHi: number,
  entryLo: number,
  level: number,
): Program {
  yield* space.pages.allocate(cpu, cpu.node, 0, MigrateType.Unmovable);
  if (cpu.ret === -ENOMEM) return;
  const { hi, lo } = cpu;
  yield zeroPages(cpu, hi | LINEAR_MAP_HI, lo, PAGE_BYTES);
  yield* initTableLock(cpu, space, hi, lo);
  const lockHi = level === PMD_LEVEL ? entryHi : space.mm.hi;
  const lockLo =
    level === PMD_LEVEL
      ? tableLockLo(space, entryHi, entryLo)
      : space.mm.lo + MmField.PageTableLock;
  yield space.pageTableLock.acquire(cpu, lockHi, lockLo);
  while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
  const isOurs = !isValid(cpu.lo);
  if (isOurs) {
    const fresh = [tableDescriptorHi(hi), tableDescriptorLo(lo)] as const;
    while (!cpu.store64(entryHi, entryLo, fresh[0], fresh[1], Order.Release)) yield;
    cpu.event(EventKind.TablePageAllocated, hi, lo);
  }
  yield space.pageTableLock.release(cpu, lockHi, lockLo);
  if (!isOurs) yield space.pages.free(cpu, hi, lo, 0);
  cpu.ret = 0;
}

/** ptlock_init: the last user of the struct page may have left anything in the word. */
function* initTableLock(cpu: Cpu, space: AddressSpace, paHi: number, paLo: number): Program {
  const structHi = space.pages.structPageHi(paHi);
  const lock = space.pages.structPageLo(paHi, paLo) + PageField.Lock;
  while (!cpu.store64(structHi, lock, 0, 0, Order.Relaxed)) yield;
}

/** Lock of the table that an entry (linear-map address) is in: pmd_lockptr, pte_lockptr. */
export function tableLockLo(space: AddressSpace, entryHi: number, entryLo: number): number {
  return (space.pages.structPageLo(entryHi & 0xffff, entryLo) + PageField.Lock) | 0;
}

export function* lockTable(
  cpu: Cpu,
  space: AddressSpace,
  entryHi: number,
  entryLo: number,
): Program {
  const lo = tableLockLo(space, entryHi, entryLo);
  yield space.pageTableLock.acquire(cpu, entryHi, lo);
}

export function* unlockTable(
  cpu: Cpu,
  space: AddressSpace,
  entryHi: number,
  entryLo: number,
): Program {
  const lo = tableLockLo(space, entryHi, entryLo);
  yield space.pageTableLock.release(cpu, entryHi, lo);
}
