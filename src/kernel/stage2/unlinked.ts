/**
 * A populated table that stands for a block: kvm_pgtable_stage2_create_unlinked
 * (arch/arm64/kvm/hyp/pgtable.c, v6.5). Nobody can see it while it is built, so entries need no
 * TLBI and no cache maintenance.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import {
  leafAttributesHi,
  leafAttributesLo,
  outputHi,
  outputLo,
} from '../../translation/descriptors.ts';
import { levelShift } from '../../translation/granule.ts';
import { ENOMEM } from '../base/errno.ts';
import { addressOf } from './address.ts';
import { type MapRequest, mapWalker } from './pgtable-map.ts';
import { type Visit, Walk, walkUnlinked } from './pgtable-walk.ts';
import { freeUnlinkedTable, type TableSource, takeTablePage } from './table-page.ts';
import type { Vm } from './vm.ts';

/**
 * Builds the table for the block that a visit found. cpu.ret = 0 and (hi, lo) = its physical
 * address, or -ENOMEM. `forcePages`: down to the last level, else one level.
 */
export function* createUnlinked(
  cpu: Cpu,
  vm: Vm,
  visit: Visit,
  tables: TableSource,
  forcePages: boolean,
): Program {
  const { oldHi, oldLo, level } = visit;
  const shift = levelShift(vm.granule, level);
  const request: MapRequest = {
    physical: addressOf(outputHi(oldHi, shift), outputLo(oldLo, shift)),
    attributesHi: leafAttributesHi(oldHi),
    attributesLo: leafAttributesLo(oldLo),
    tables,
    forcePages,
  };
  yield* takeTablePage(cpu, tables);
  if (!cpu.ok) {
    cpu.ret = -ENOMEM;
    return;
  }
  const { hi, lo } = cpu;
  const walker = mapWalker(vm, request, Walk.Leaf | Walk.SkipBbmTlbi | Walk.SkipCmo);
  yield* walkUnlinked(cpu, vm.granule, hi | LINEAR_MAP_HI, lo, level + 1, walker);
  const result = cpu.ret;
  if (result !== 0) yield* freeUnlinkedTable(cpu, vm, hi, lo, level);
  cpu.hi = hi;
  cpu.lo = lo;
  cpu.ret = result;
}
