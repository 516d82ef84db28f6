/**
 * Mapping a range: kvm_pgtable_stage2_map, stage2_map_walker_try_leaf, stage2_map_walk_table_pre,
 * stage2_map_walk_leaf (arch/arm64/kvm/hyp/pgtable.c, v6.2 and later; the older exclusive form does
 * the same steps, as an exclusive walk stores instead of comparing).
 *
 * A leaf goes through break, cache maintenance and make, so the page is clean before any guest can
 * reach it. A block that must become a table becomes an EMPTY table: the other pages of the block
 * fault one by one. With stage2Bbm=on (no kernel) a populated table replaces it by one store.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence } from '../../cpu/operations.ts';
import { Counter } from '../../metrics/definition.ts';
import { notePassed } from '../../sync/lock-events.ts';
import {
  isTable,
  isValid,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import { isLeafLevel, LAST_LEVEL, levelShift } from '../../translation/granule.ts';
import {
  S2_PERMISSION_MASK_HI,
  S2_PERMISSION_MASK_LO,
} from '../../translation/stage2-descriptors.ts';
import { E2BIG, EAGAIN, ENOMEM } from '../base/errno.ts';
import { addressHi, addressLo, powerOfTwo } from './address.ts';
import { Stage2Branch } from './branches.ts';
import { cleanMappedPage } from './cache-maintenance.ts';
import { makeEntry, tryBreakEntry } from './pgtable-entry.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import { type LockedEntry, lockDescendants, unlockDescendants } from './prune-locked.ts';
import { splitWithoutBreak } from './split.ts';
import { freeTablePage, type TableSource, takeTablePage, unlinkTable } from './table-page.ts';
import type { Vm } from './vm.ts';

/** stage2_map_data. */
export interface MapRequest {
  /** Physical address that the walk's first address maps to. */
  readonly physical: number;
  readonly attributesHi: number;
  readonly attributesLo: number;
  /** Where table pages come from; null = none may be needed. */
  readonly tables: TableSource | null;
  /** Only last-level entries. */
  readonly forcePages: boolean;
}

/** Maps [ipa, ipa + bytes). Result in cpu.ret: 0, -EAGAIN, -ENOMEM. */
export function* mapRange(
  cpu: Cpu,
  vm: Vm,
  ipa: number,
  bytes: number,
  request: MapRequest,
  modes: number,
): Program {
  yield* walkTables(cpu, vm, ipa, bytes, mapWalker(vm, request, modes | Walk.TablePre | Walk.Leaf));
  const result = cpu.ret;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  cpu.ret = result;
}

export function mapWalker(vm: Vm, request: MapRequest, flags: number): Walker {
  return {
    flags,
    visit(cpu, visit, kind) {
      if (kind === Walk.Leaf) return visitLeaf(cpu, vm, visit, request);
      if (!leafAllowed(vm, visit, request)) return null;
      return visitTable(cpu, vm, visit, request);
    },
  };
}

function physicalAt(visit: Visit, request: MapRequest): number {
  return request.physical + (visit.ipa - visit.startIpa);
}

/** stage2_leaf_mapping_allowed: size and both alignments. */
function leafAllowed(vm: Vm, visit: Visit, request: MapRequest): boolean {
  if (request.forcePages && visit.level < LAST_LEVEL) return false;
  if (!isLeafLevel(vm.granule, visit.level)) return false;
  const bytes = powerOfTwo(levelShift(vm.granule, visit.level));
  if (bytes > visit.endIpa - visit.ipa) return false;
  return physicalAt(visit, request) % bytes === 0 && visit.ipa % bytes === 0;
}

/** stage2_map_walker_try_leaf. Result in cpu.ret. */
function* tryLeaf(cpu: Cpu, vm: Vm, visit: Visit, request: MapRequest): Program {
  if (!leafAllowed(vm, visit, request)) {
    cpu.ret = -E2BIG;
    return;
  }
  const physical = physicalAt(visit, request);
  const hi = leafDescriptorHi(addressHi(physical), request.attributesHi);
  const lo = leafDescriptorLo(addressLo(physical), request.attributesLo, visit.level);
  // The same mapping, or other permissions only: the vCPU exits once more if it still needs to, and
  // then takes the path of relaxing permissions.
  const sameBut = (visit.oldHi ^ hi) & ~S2_PERMISSION_MASK_HI;
  if (isValid(visit.oldLo) && sameBut === 0) {
    if (((visit.oldLo ^ lo) & ~S2_PERMISSION_MASK_LO) === 0) {
      cpu.ret = -EAGAIN;
      return;
    }
  }
  yield* tryBreakEntry(cpu, vm, visit);
  if (!cpu.ok) {
    cpu.ret = -EAGAIN;
    return;
  }
  if ((visit.flags & Walk.SkipCmo) === 0) {
    yield* cleanMappedPage(
      cpu,
      vm,
      physical,
      powerOfTwo(levelShift(vm.granule, visit.level)),
      hi,
      lo,
    );
  }
  yield* makeEntry(cpu, vm, visit, hi, lo);
  cpu.ret = 0;
}

/** stage2_map_walk_leaf. */
function* visitLeaf(cpu: Cpu, vm: Vm, visit: Visit, request: MapRequest): Program {
  yield* tryLeaf(cpu, vm, visit, request);
  if (cpu.ret !== -E2BIG) return;
  if (request.tables === null) {
    cpu.ret = -ENOMEM;
    return;
  }
  const splitsBlock = isValid(visit.oldLo);
  if (splitsBlock && vm.options.stage2Bbm) {
    yield* splitWithoutBreak(cpu, vm, visit, request.tables);
    if (cpu.ret === 0) notePassed(cpu, Stage2Branch.Split);
    return;
  }
  yield* takeTablePage(cpu, request.tables);
  if (!cpu.ok) {
    cpu.ret = -ENOMEM;
    return;
  }
  const tableHi = cpu.hi;
  const tableLo = cpu.lo;
  yield* tryBreakEntry(cpu, vm, visit);
  if (!cpu.ok) {
    notePassed(cpu, Stage2Branch.TableInVain);
    yield* freeTablePage(cpu, vm, tableHi, tableLo);
    cpu.ret = -EAGAIN;
    return;
  }
  const hi = tableDescriptorHi(tableHi);
  const lo = tableDescriptorLo(tableLo);
  yield* makeEntry(cpu, vm, visit, hi, lo);
  if (splitsBlock) {
    cpu.count(Counter.BlocksSplit, 1);
    notePassed(cpu, Stage2Branch.Split);
  }
  cpu.ret = 0;
}

/** stage2_map_walk_table_pre: a block takes the place of a table, whose subtree is then freed. */
function* visitTable(cpu: Cpu, vm: Vm, visit: Visit, request: MapRequest): Program {
  const { oldHi, oldLo, level } = visit;
  const childHi = outputHi(oldHi, vm.granule.shift);
  const childLo = outputLo(oldLo, vm.granule.shift);
  const locked: LockedEntry[] = [];
  if (vm.steps.locksDescendants(vm)) {
    yield* lockDescendants(cpu, vm, childHi, childLo, level + 1, visit.flags, locked);
    if (cpu.ret !== 0) {
      notePassed(cpu, Stage2Branch.GaveUp);
      return;
    }
  }
  yield* tryLeaf(cpu, vm, visit, request);
  if (cpu.ret !== 0) {
    const result = cpu.ret;
    yield* unlockDescendants(cpu, vm, locked);
    cpu.ret = result;
    return;
  }
  cpu.count(Counter.BlocksPromoted, 1);
  notePassed(cpu, Stage2Branch.Coalesced);
  yield* unlinkTable(cpu, vm, childHi, childLo, level);
  cpu.ret = 0;
}

/** Is the visited entry a leaf that is valid? */
export function isValidLeaf(visit: Visit): boolean {
  return isValid(visit.oldLo) && !isTable(visit.oldLo, visit.level);
}
