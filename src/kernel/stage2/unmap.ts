/**
 * Unmapping a range: kvm_stage2_unmap_range (arch/arm64/kvm/mmu.c), kvm_pgtable_stage2_unmap,
 * stage2_unmap_walker, stage2_unmap_put_pte (hyp/pgtable.c). Under an exclusive mmu_lock.
 *
 * Each entry is cleared and its TLB entries go at once, or (unmapFlush=range) the leaves of the
 * whole range go in one flush at the end. A table goes when its count says that it is empty; a
 * block goes whole, and what lies outside the range faults back. Without FWB each page is cleaned
 * after the flush, because the guest may have written to it uncached.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Metric } from '../../metrics/definition.ts';
import { isTable, isValid, outputHi, outputLo } from '../../translation/descriptors.ts';
import { levelShift } from '../../translation/granule.ts';
import { isCounted, s2IsCacheable } from '../../translation/stage2-descriptors.ts';
import { addressOf } from './address.ts';
import { applyRange } from './apply-range.ts';
import { cleanInvalidate } from './cache-maintenance.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import { putTablePage, tablePageCount, unlinkTable } from './table-page.ts';
import { flushIpa, flushRange } from './tlb-flush.ts';
import type { Vm } from './vm.ts';

/** `mayBlock`: drop mmu_lock between chunks. Result in cpu.ret: 0. */
export function* unmapRange(
  cpu: Cpu,
  vm: Vm,
  start: number,
  bytes: number,
  mayBlock: boolean,
): Program {
  cpu.begin(Metric.Unmap);
  yield* applyRange(cpu, vm, start, start + bytes, mayBlock, (from, size) =>
    unmapChunk(cpu, vm, from, size),
  );
  cpu.end(Metric.Unmap);
}

function* unmapChunk(cpu: Cpu, vm: Vm, from: number, bytes: number): Program {
  yield* walkTables(cpu, vm, from, bytes, unmapWalker(vm));
  const result = cpu.ret;
  if (vm.options.unmapFlush === 'range') yield* flushRange(cpu, vm, from, bytes);
  cpu.ret = result;
}

function unmapWalker(vm: Vm): Walker {
  return {
    flags: Walk.Leaf | Walk.TablePost,
    visit: (cpu, visit) =>
      isCounted(visit.oldHi, visit.oldLo) ? unmapEntry(cpu, vm, visit) : null,
  };
}

/** stage2_unmap_walker. */
function* unmapEntry(cpu: Cpu, vm: Vm, visit: Visit): Program {
  const { entryHi, entryLo, oldHi, oldLo, level } = visit;
  const { granule, fwb } = vm;
  cpu.ret = 0;
  const table = isTable(oldLo, level);
  if (table) {
    while (!tablePageCount(cpu, vm, outputHi(oldHi, granule.shift), outputLo(oldLo, granule.shift)))
      yield;
    if (cpu.lo !== 1) return;
  }
  while (!cpu.store64(entryHi, entryLo, 0, 0, Order.Relaxed)) yield;
  const flushes = table || vm.options.unmapFlush === 'per-pte';
  if (isValid(oldLo) && flushes && vm.steps.breakFlushes(visit)) {
    yield* flushIpa(cpu, vm, visit.ipa);
  }
  while (!putTablePage(cpu, vm, entryHi, entryLo)) yield;
  if (isValid(oldLo) && !table && !fwb && s2IsCacheable(oldLo, fwb)) {
    const shift = levelShift(granule, level);
    const physical = addressOf(outputHi(oldHi, shift), outputLo(oldLo, shift));
    yield* cleanInvalidate(cpu, vm, physical, 2 ** shift);
  }
  if (table) {
    const childHi = outputHi(oldHi, granule.shift);
    const childLo = outputLo(oldLo, granule.shift);
    yield* unlinkTable(cpu, vm, childHi, childLo, level);
  }
  cpu.ret = 0;
}
