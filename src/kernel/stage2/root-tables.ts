/**
 * Root tables of stage 2: kvm_pgtable_stage2_init (concatenated tables, __kvm_pgtable_stage2_init)
 * and kvm_pgtable_stage2_destroy (arch/arm64/kvm/hyp/pgtable.c). Each page of a concatenated root
 * has a reference count of its own, as alloc_pages_exact gives it.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import { levelShift } from '../../translation/granule.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PageField } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import { walkUnlinked } from './pgtable-walk.ts';
import { isBootTable, structPageLo } from './struct-page-of.ts';
import { freeWalker } from './table-page.ts';
import type { Vm } from './vm.ts';

/** log2 of the tables side by side at the start level. */
export function rootOrder(vm: Vm): number {
  const tableShift = levelShift(vm.granule, vm.startLevel) + vm.granule.entriesShift;
  return Math.max(0, vm.ipaBits - tableShift);
}

/** cpu.ret = 0 and (hi, lo) = an empty root, or -ENOMEM. */
export function* newRoot(cpu: Cpu, vm: Vm): Program {
  const order = rootOrder(vm);
  yield* vm.pages.allocate(cpu, cpu.node, order, MigrateType.Unmovable);
  if (cpu.ret !== 0) return;
  const { hi, lo } = cpu;
  const linearHi = hi | LINEAR_MAP_HI;
  yield* zeroPages(cpu, linearHi, lo, 2 ** order * vm.pageBytes);
  for (let page = 1; page < 2 ** order; page++) {
    const count = structPageLo(vm, vm.image.bootTables, linearHi, lo + page * vm.pageBytes);
    while (!cpu.store32(linearHi, count + PageField.RefCount, 1, Order.Relaxed)) yield;
  }
  cpu.hi = hi;
  cpu.lo = lo;
  cpu.ret = 0;
}

/** Frees a root that nobody can reach any more, and all below it. */
export function* freeRoot(cpu: Cpu, vm: Vm, paHi: number, paLo: number): Program {
  const order = rootOrder(vm);
  const linearHi = paHi | LINEAR_MAP_HI;
  const walker = freeWalker(vm);
  for (let page = 0; page < 2 ** order; page++) {
    const at = (paLo + page * vm.pageBytes) | 0;
    yield* walkUnlinked(cpu, vm.granule, linearHi, at, vm.startLevel, walker);
    cpu.event(EventKind.TablePageFreed, paHi, at);
    cpu.count(Counter.TablePagesFreed, 1);
    if (page === 0) continue;
    const count = structPageLo(vm, vm.image.bootTables, linearHi, at) + PageField.RefCount;
    while (!cpu.store32(linearHi, count, 0, Order.Relaxed)) yield;
  }
  if (isBootTable(vm.image.bootTables, linearHi, paLo)) return;
  yield* vm.pages.free(cpu, paHi, paLo, order);
}
