/**
 * Splitting a live block of the linear map into a table of smaller leaves with the same attributes.
 *
 * x86: __split_large_page (arch/x86/mm/pat/set_memory.c): the table is filled, the entry replaced
 * in one store, this CPU's TLB flushed; others keep the large entry until the flush that ends the
 * change. arm64 with BBML2_NOABORT: split_pmd, split_pud (arch/arm64/mm/mmu.c, v6.18): the same
 * store and no TLBI at all, as both entries translate alike. Splits are never undone.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Fence, Order, Scope, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import {
  isBlockOrPage,
  leafAttributesHi,
  leafAttributesLo,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import type { PageAllocator } from '../base/page-allocator.ts';
import { MigrateType } from '../base/zone.ts';
import type { KernelTable } from '../kernel-table/kernel-table.ts';
import { KernelWalk } from '../kernel-table/kernel-table.ts';
import { LEAF_SHIFT, type LinearMapImage } from './image.ts';

const ENTRIES = 512;

export interface SplitParts {
  readonly machine: Machine;
  readonly image: LinearMapImage;
  readonly pages: PageAllocator;
  readonly table: KernelTable;
  readonly lock: Lock;
}

/**
 * Splits the block of `level` that maps the address, unless somebody else has. ret = 0 or -ENOMEM,
 * with the old mapping as it was.
 */
export function* splitBlock(cpu: Cpu, parts: SplitParts, at: Address, level: number): Program {
  const { image, pages, lock, machine } = parts;
  yield* pages.allocate(cpu, cpu.node, 0, MigrateType.Unmovable);
  if (cpu.ret < 0) return;
  const fresh = { hi: cpu.hi, lo: cpu.lo };
  yield* lock.acquire(cpu, image.lock.hi, image.lock.lo);
  yield* parts.table.walk(cpu, at.hi, at.lo, level, false);
  const entry = { hi: cpu.hi, lo: cpu.lo };
  let isOurs = cpu.ret === KernelWalk.Found;
  if (isOurs) {
    while (!cpu.load64(entry.hi, entry.lo, Order.Relaxed)) yield;
    isOurs = isBlockOrPage(cpu.lo, level);
  }
  if (isOurs) {
    yield* fill(cpu, fresh, level);
    while (!cpu.fence(Fence.DmbIshSt)) yield;
    const newHi = tableDescriptorHi(fresh.hi);
    const newLo = tableDescriptorLo(fresh.lo);
    while (!cpu.store64(entry.hi, entry.lo, newHi, newLo, Order.Release)) yield;
    cpu.event(EventKind.TablePageAllocated, fresh.hi, fresh.lo);
    cpu.count(Counter.DirectMapSplits, 1);
    yield* count(cpu, image, level);
    if (machine.architecture === 'x86') yield* flushAllLocally(cpu);
  }
  yield* lock.release(cpu, image.lock.hi, image.lock.lo);
  if (!isOurs) yield* pages.free(cpu, fresh.hi, fresh.lo, 0);
  cpu.ret = 0;
}

/** (cpu.hi, cpu.lo) = the block's descriptor. */
function* fill(cpu: Cpu, table: Address, level: number): Program {
  const { hi, lo } = cpu;
  const shift = LEAF_SHIFT[level]!;
  const output = { hi: outputHi(hi, shift), lo: outputLo(lo, shift) };
  const tableHi = table.hi | LINEAR_MAP_HI;
  for (let index = 0; index < ENTRIES; index++) {
    const to = addBytes(output, index * 2 ** LEAF_SHIFT[level + 1]!);
    const leafHi = leafDescriptorHi(to.hi, leafAttributesHi(hi));
    const leafLo = leafDescriptorLo(to.lo, leafAttributesLo(lo), level + 1);
    while (!cpu.store64(tableHi, (table.lo + index * 8) | 0, leafHi, leafLo, Order.Relaxed)) {
      yield;
    }
  }
}

/** split_page_count. */
function* count(cpu: Cpu, { counts }: LinearMapImage, level: number): Program {
  while (!cpu.add32(counts.hi, counts.lo + level * 4, -1, Order.Relaxed)) yield;
  while (!cpu.add32(counts.hi, counts.lo + (level + 1) * 4, ENTRIES, Order.Relaxed)) yield;
}

/** __flush_tlb_all. */
function* flushAllLocally(cpu: Cpu): Program {
  while (!cpu.tlbi(Tlbi.VmallHost, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.NonShareable)) yield;
}
