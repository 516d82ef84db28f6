/**
 * Pages of stage-2 tables: kvm_s2_mm_ops, stage2_free_unlinked_table, stage2_free_walker
 * (arch/arm64/kvm/mmu.c, hyp/pgtable.c). A table's reference count is 1 + its non-zero entries; it
 * lives in struct page, so vCPUs that fault in one table share that line.
 *
 * A subtree that a block replaced is freed by an RCU callback: walkers that are still inside see
 * stale but allocated memory (invariant I3).
 *
 * Deviation: tables that boot code wrote have struct pages of their own beside them and are never
 * handed to the page allocator.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import { isTable, outputHi, outputLo } from '../../translation/descriptors.ts';
import { isCounted } from '../../translation/stage2-descriptors.ts';
import { takeFromMemcache } from '../base/memcache.ts';
import { PAGE_BYTES, PageField } from '../base/struct-page.ts';
import { type Visit, Walk, type Walker, walkUnlinked } from './pgtable-walk.ts';
import { isBootTable, structPageLo } from './struct-page-of.ts';
import type { Vm } from './vm.ts';

/** Linear-map address of a memcache that table pages are taken from. */
export interface TableSource {
  readonly hi: number;
  readonly lo: number;
}

/** Low half of the struct page of the table that an entry (linear address) is in. */
function structLo(vm: Vm, entryHi: number, entryLo: number): number {
  return structPageLo(vm, vm.image.bootTables, entryHi, entryLo);
}

/** get_page(virt_to_page(ptep)). Pages with contents have their struct page on the same node. */
export function getTablePage(cpu: Cpu, vm: Vm, entryHi: number, entryLo: number): boolean {
  const count = structLo(vm, entryHi, entryLo) + PageField.RefCount;
  return cpu.add32(entryHi, count, 1, Order.Relaxed);
}

/** put_page for an entry that is gone; the table itself stays. */
export function putTablePage(cpu: Cpu, vm: Vm, entryHi: number, entryLo: number): boolean {
  const count = structLo(vm, entryHi, entryLo) + PageField.RefCount;
  if (!cpu.add32(entryHi, count, -1, Order.Release)) return false;
  assert(cpu.lo > 1, 'a stage-2 table drops an entry that it has not');
  return true;
}

/** page_count of a table (physical address); result in cpu.lo. */
export function tablePageCount(cpu: Cpu, vm: Vm, paHi: number, paLo: number): boolean {
  const hi = paHi | LINEAR_MAP_HI;
  return cpu.load32(hi, structLo(vm, hi, paLo) + PageField.RefCount, Order.Relaxed);
}

/** zalloc_page: cpu.ok and (hi, lo) = the physical address of a zeroed table, or not ok. */
export function* takeTablePage(cpu: Cpu, source: TableSource): Program {
  yield* takeFromMemcache(cpu, source.hi, source.lo);
  cpu.ok = cpu.ret === 0;
  if (cpu.ok) cpu.event(EventKind.TablePageAllocated, cpu.hi, cpu.lo);
}

/** Frees a table without counted entries. */
export function* freeTablePage(cpu: Cpu, vm: Vm, paHi: number, paLo: number): Program {
  while (!tablePageCount(cpu, vm, paHi, paLo)) yield;
  assert(cpu.lo === 1, 'a stage-2 table is freed with entries');
  cpu.event(EventKind.TablePageFreed, paHi, paLo);
  cpu.count(Counter.TablePagesFreed, 1);
  if (isBootTable(vm.image.bootTables, paHi | LINEAR_MAP_HI, paLo)) return;
  yield* vm.pages.free(cpu, paHi, paLo, 0);
}

/**
 * kvm_pgtable_stage2_free_unlinked: drops every entry below and frees the tables. `level` is that
 * of the entry that pointed to the table.
 */
export function* freeUnlinkedTable(
  cpu: Cpu,
  vm: Vm,
  paHi: number,
  paLo: number,
  level: number,
): Program {
  const hi = paHi | LINEAR_MAP_HI;
  yield* walkUnlinked(cpu, vm.granule, hi, paLo, level + 1, freeWalker(vm));
  yield* freeTablePage(cpu, vm, paHi, paLo);
}

/** stage2_free_walker as a walker. */
export function freeWalker(vm: Vm): Walker {
  return {
    flags: Walk.Leaf | Walk.TablePost,
    visit: (cpu, visit) => (isCounted(visit.oldHi, visit.oldLo) ? freeEntry(cpu, vm, visit) : null),
  };
}

/** stage2_free_walker. */
function* freeEntry(cpu: Cpu, vm: Vm, visit: Visit): Program {
  const { oldHi, oldLo, level } = visit;
  while (!putTablePage(cpu, vm, visit.entryHi, visit.entryLo)) yield;
  if (isTable(oldLo, level)) {
    const { shift } = vm.granule;
    yield* freeTablePage(cpu, vm, outputHi(oldHi, shift), outputLo(oldLo, shift));
  }
  cpu.ret = 0;
}

/** free_unlinked_table: nobody can find the table any more, but somebody may still read it. */
export function* unlinkTable(cpu: Cpu, vm: Vm, paHi: number, paLo: number, level: number): Program {
  if (vm.steps.freesAtOnce(vm)) {
    yield* freeUnlinkedTable(cpu, vm, paHi, paLo, level);
    return;
  }
  const hi = paHi | LINEAR_MAP_HI;
  const head = structLo(vm, hi, paLo) + PageField.RcuHead;
  cpu.event(EventKind.TablePageUnlinked, paHi, paLo);
  // page_private: the level; here in the argument's low bits, which a page's address leaves free.
  yield* vm.rcu.call(cpu, hi, head, vm.index, paHi, paLo | level);
}

/** stage2_free_unlinked_table_rcu_cb. */
export function freeAfterGracePeriod(
  cpu: Cpu,
  vm: Vm,
  argumentHi: number,
  argumentLo: number,
): Program {
  const level = argumentLo & (PAGE_BYTES - 1);
  return freeUnlinkedTable(cpu, vm, argumentHi, argumentLo & ~(PAGE_BYTES - 1), level);
}
