/**
 * Software walk of a stage-2 tree: kvm_pgtable_walk, __kvm_pgtable_walk and __kvm_pgtable_visit
 * (arch/arm64/kvm/hyp/pgtable.c, v6.2 and later), as a loop over levels instead of a recursion.
 *
 * An entry is read once and shown to the walker; then it is read again, because the walker (or
 * another CPU, under a shared walk) may have installed or removed a table there. A shared walk runs
 * inside an RCU read section and changes entries by compare-and-swap; an exclusive one stores.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { isTable, outputHi, outputLo } from '../../translation/descriptors.ts';
import {
  DESCRIPTOR_BYTES,
  type Granule,
  LAST_LEVEL,
  levelShift,
} from '../../translation/granule.ts';
import { EAGAIN, ERANGE } from '../base/errno.ts';
import { rcuReadDepth } from '../base/rcu.ts';
import { alignDown, alignUp, powerOfTwo } from './address.ts';
import type { Vm } from './vm.ts';

/** kvm_pgtable_walk_flags. */
export const Walk = {
  Leaf: 1,
  TablePre: 2,
  TablePost: 4,
  /** Other CPUs walk and change the tree at the same time. */
  Shared: 8,
  /** -EAGAIN ends the walk; all other walks step over it. */
  HandleFault: 16,
  SkipBbmTlbi: 32,
  SkipCmo: 64,
} as const;

/** kvm_pgtable_visit_ctx: one entry as a walker sees it. Private to the walking CPU. */
export interface Visit {
  /** Linear-map address of the entry. */
  entryHi: number;
  entryLo: number;
  /** The entry as it was read. */
  oldHi: number;
  oldLo: number;
  /** Input address of the walk at this entry, and the walk's bounds. */
  ipa: number;
  startIpa: number;
  endIpa: number;
  level: number;
  flags: number;
}

export interface Walker {
  /** Visits (Leaf, TablePre, TablePost) and modes. */
  readonly flags: number;
  /**
   * Program of one visit, its result (0 or a negative errno) in cpu.ret; null = nothing to do, 0.
   */
  visit(cpu: Cpu, visit: Visit, kind: number): Program | null;
}

/** Walks [ipa, ipa + bytes) from the VM's current root. Result in cpu.ret. */
export function walkTables(cpu: Cpu, vm: Vm, ipa: number, bytes: number, walker: Walker): Program {
  const { granule, startLevel } = vm;
  const start = alignDown(ipa, vm.pageBytes);
  const end = alignUp(start + bytes, vm.pageBytes);
  const entriesShift = vm.ipaBits - levelShift(granule, startLevel);
  const visit = newVisit(0, 0, startLevel, walker.flags, start, end);
  return walk(cpu, vm, granule, visit, entriesShift, walker);
}

/** Walks a table that no root points to; input addresses count from 0. */
export function walkUnlinked(
  cpu: Cpu,
  granule: Granule,
  tableHi: number,
  tableLo: number,
  level: number,
  walker: Walker,
): Program {
  const { entriesShift } = granule;
  const bytes = powerOfTwo(entriesShift + levelShift(granule, level));
  const visit = newVisit(tableHi, tableLo, level, walker.flags, 0, bytes);
  return walk(cpu, null, granule, visit, entriesShift, walker);
}

/**
 * The walk: descends into tables, returns to their parents, stops at the first error. `visit` is at
 * the first entry of the top table, or, with a VM, that table is still to be found.
 */
function* walk(
  cpu: Cpu,
  vm: Vm | null,
  granule: Granule,
  visit: Visit,
  topEntriesShift: number,
  walker: Walker,
): Program {
  const { flags, startIpa, endIpa, level: topLevel } = visit;
  const shared = vm !== null && (flags & Walk.Shared) !== 0;
  if (vm !== null) {
    if (endIpa > powerOfTwo(vm.ipaBits)) {
      cpu.ret = -ERANGE;
      return;
    }
    if (shared) {
      // rcu_read_lock.
      while (!rcuReadDepth(cpu)) yield;
      const depth = cpu.ret;
      while (!vm.steps.walkBegin(cpu, depth)) yield;
    }
    while (!readRoot(cpu, vm, visit)) yield;
  }
  let remaining = enterTable(visit, startIpa, levelShift(granule, topLevel), topEntriesShift);
  /** The entries that the walk went down by, and what is left of their tables. */
  const parents: number[] = [];
  let ipa = startIpa;
  let result = 0;
  for (;;) {
    if (ipa >= endIpa || remaining === 0) {
      if (visit.level === topLevel) break;
      remaining = ascend(visit, parents, granule, ipa) - 1;
      if ((flags & Walk.TablePost) !== 0) {
        const after = walker.visit(cpu, visit, Walk.TablePost);
        if (after !== null) {
          yield after;
          result = errorOf(cpu.ret, flags);
          if (result !== 0) break;
        }
      }
      visit.entryLo = (visit.entryLo + DESCRIPTOR_BYTES) | 0;
      continue;
    }
    visit.ipa = ipa;
    while (!readEntry(cpu, visit)) yield;
    const kind = isTable(visit.oldLo, visit.level) ? Walk.TablePre : Walk.Leaf;
    if ((flags & kind) !== 0) {
      const program = walker.visit(cpu, visit, kind);
      if (program !== null) {
        yield program;
        result = errorOf(cpu.ret, flags);
        if (result !== 0) break;
      }
      // Descend into what is there now: the walker may have put a table in place, or taken it out.
      while (!readEntry(cpu, visit)) yield;
    }
    if (isTable(visit.oldLo, visit.level)) {
      remaining = descend(visit, parents, granule, remaining);
    } else {
      const bytes = powerOfTwo(levelShift(granule, visit.level));
      ipa = alignDown(ipa, bytes) + bytes;
      visit.entryLo = (visit.entryLo + DESCRIPTOR_BYTES) | 0;
      remaining--;
    }
  }
  if (shared) yield* vm.steps.walkEnd(cpu);
  cpu.ret = result;
}

/** Into the table of this entry, to the entry for its address; entries left from there. */
function descend(visit: Visit, parents: number[], granule: Granule, remaining: number): number {
  assert(visit.level < LAST_LEVEL, 'a walk went below the last level');
  parents.push(visit.entryHi, visit.entryLo, visit.oldHi, visit.oldLo, remaining);
  visit.level++;
  visit.entryHi = outputHi(visit.oldHi, granule.shift) | LINEAR_MAP_HI;
  visit.entryLo = outputLo(visit.oldLo, granule.shift);
  return enterTable(visit, visit.ipa, levelShift(granule, visit.level), granule.entriesShift);
}

/** Back to the entry that led to this table; entries left from there. `ipa`: behind the table. */
function ascend(visit: Visit, parents: number[], granule: Granule, ipa: number): number {
  const remaining = parents.pop()!;
  visit.oldLo = parents.pop()!;
  visit.oldHi = parents.pop()!;
  visit.entryLo = parents.pop()!;
  visit.entryHi = parents.pop()!;
  visit.level--;
  const bytes = powerOfTwo(levelShift(granule, visit.level));
  visit.ipa = Math.max(visit.startIpa, alignDown(ipa - 1, bytes));
  return remaining;
}

/**
 * Moves a visit from the start of its table to the entry for an address; entries left from there.
 */
function enterTable(visit: Visit, ipa: number, shift: number, entriesShift: number): number {
  const entries = 1 << entriesShift;
  const entry = Math.floor(ipa / powerOfTwo(shift));
  const index = entry - alignDown(entry, entries);
  visit.entryLo = (visit.entryLo + index * DESCRIPTOR_BYTES) | 0;
  return entries - index;
}

/** The visit is at the first entry of the VM's current root. */
function readRoot(cpu: Cpu, vm: Vm, visit: Visit): boolean {
  if (!cpu.load64(vm.kvmHi, vm.field.pgd, Order.Relaxed)) return false;
  visit.entryHi = cpu.hi | LINEAR_MAP_HI;
  visit.entryLo = cpu.lo;
  return true;
}

function readEntry(cpu: Cpu, visit: Visit): boolean {
  if (!cpu.load64(visit.entryHi, visit.entryLo, Order.Acquire)) return false;
  visit.oldHi = cpu.hi;
  visit.oldLo = cpu.lo;
  return true;
}

/** kvm_pgtable_walk_continue, negated: the result of a visit if it ends the walk, else 0. */
function errorOf(result: number, flags: number): number {
  return result === -EAGAIN && (flags & Walk.HandleFault) === 0 ? 0 : result;
}

function newVisit(
  entryHi: number,
  entryLo: number,
  level: number,
  flags: number,
  startIpa: number,
  endIpa: number,
): Visit {
  return { entryHi, entryLo, oldHi: 0, oldLo: 0, ipa: 0, startIpa, endIpa, level, flags };
}
