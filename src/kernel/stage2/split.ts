/**
 * Eager splitting of blocks: kvm_mmu_split_huge_pages (arch/arm64/kvm/mmu.c),
 * kvm_pgtable_stage2_split, stage2_split_walker (hyp/pgtable.c, v6.5). A populated subtree is built
 * aside and replaces the block by one break, flush and make; between chunks mmu_lock is dropped to
 * fill the cache, or because somebody waits for it. Best effort: without pages the block stays.
 *
 * And what no kernel does (stage2Bbm=on): on a CPU with FEAT_BBM level 2 and no conflict aborts the
 * same subtree replaces the block by one store, without break and without TLBI; the block's old
 * entry may be used until the flush of the permission change that follows.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { isValid, tableDescriptorHi, tableDescriptorLo } from '../../translation/descriptors.ts';
import { LAST_LEVEL } from '../../translation/granule.ts';
import { EAGAIN, ENOMEM } from '../base/errno.ts';
import { topUpMemcache } from '../base/memcache.ts';
import { alignDown } from './address.ts';
import { mmuLockNeedsBreak } from './apply-range.ts';
import { makeEntry, tryBreakEntry } from './pgtable-entry.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import { freeUnlinkedTable, type TableSource } from './table-page.ts';
import { createUnlinked } from './unlinked.ts';
import type { Vm } from './vm.ts';

/** stage2_block_get_nr_page_tables: tables down to the last level below a block entry. */
function tablesBelow(vm: Vm, level: number): number {
  return level === LAST_LEVEL - 1 ? 1 : 2 ** vm.granule.entriesShift + 1;
}

/** Pages that a chunk may need (kvm_mmu_split_nr_page_tables). */
export function splitCacheCapacity(chunkBytes: number): number {
  return Math.ceil(chunkBytes / 2 ** 30) + Math.ceil(chunkBytes / 2 ** 21);
}

/**
 * Splits the blocks in [start, end). Caller holds mmu_lock for writing; it may be dropped inside.
 */
export function* splitHugePages(cpu: Cpu, vm: Vm, start: number, end: number): Program {
  const chunkBytes = vm.options.eagerSplitChunkBytes;
  const capacity = splitCacheCapacity(chunkBytes);
  const cache: TableSource = { hi: vm.kvmHi, lo: vm.field.splitCache };
  cpu.ret = 0;
  for (let at = start; at < end; ) {
    // need_split_memcache_topup_or_resched
    yield* mmuLockNeedsBreak(cpu, vm);
    const contended = cpu.ok;
    while (!cpu.load32(cache.hi, cache.lo, Order.Relaxed)) yield;
    if (contended || cpu.lo < capacity) {
      yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
      cpu.spend(Cost.Resched);
      yield* topUpMemcache(cpu, vm.pages, cache.hi, cache.lo, capacity, capacity);
      const filled = cpu.ret;
      yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
      cpu.ret = filled;
      if (filled !== 0) return;
    }
    const next = Math.min(end, alignDown(at + chunkBytes, chunkBytes));
    cpu.begin(Metric.EagerSplit);
    yield* walkTables(cpu, vm, at, next - at, splitWalker(vm, cache));
    cpu.end(Metric.EagerSplit);
    if (cpu.ret !== 0) return;
    at = next;
  }
}

function splitWalker(vm: Vm, cache: TableSource): Walker {
  return {
    flags: Walk.Leaf,
    visit(cpu, visit) {
      if (visit.level === LAST_LEVEL || !isValid(visit.oldLo)) return null;
      return splitBlock(cpu, vm, visit, cache);
    },
  };
}

/** stage2_split_walker. */
function* splitBlock(cpu: Cpu, vm: Vm, visit: Visit, cache: TableSource): Program {
  while (!cpu.load32(cache.hi, cache.lo, Order.Relaxed)) yield;
  const cached = cpu.lo;
  if (cached < 1) {
    cpu.ret = -ENOMEM;
    return;
  }
  yield* createUnlinked(cpu, vm, visit, cache, cached >= tablesBelow(vm, visit.level));
  if (cpu.ret !== 0) return;
  yield* swapIn(cpu, vm, visit, cpu.hi, cpu.lo, !vm.options.stage2Bbm);
}

/** Puts a populated table where the visited block is, with or without break. Result in cpu.ret. */
function* swapIn(
  cpu: Cpu,
  vm: Vm,
  visit: Visit,
  tableHi: number,
  tableLo: number,
  breaks: boolean,
): Program {
  const hi = tableDescriptorHi(tableHi);
  const lo = tableDescriptorLo(tableLo);
  if (breaks) yield* tryBreakEntry(cpu, vm, visit);
  else while (!cpu.fence(Fence.DsbIshSt)) yield;
  if (!breaks) while (!vm.steps.trySet(cpu, visit, hi, lo)) yield;
  if (!cpu.ok) {
    yield* freeUnlinkedTable(cpu, vm, tableHi, tableLo, visit.level);
    cpu.ret = -EAGAIN;
    return;
  }
  if (breaks) yield* makeEntry(cpu, vm, visit, hi, lo);
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  cpu.count(Counter.BlocksSplit, 1);
  cpu.ret = 0;
}

/** In the fault path: the block under a page that must be mapped alone. Result in cpu.ret. */
export function* splitWithoutBreak(cpu: Cpu, vm: Vm, visit: Visit, tables: TableSource): Program {
  yield* createUnlinked(cpu, vm, visit, tables, false);
  if (cpu.ret !== 0) return;
  yield* swapIn(cpu, vm, visit, cpu.hi, cpu.lo, false);
}
