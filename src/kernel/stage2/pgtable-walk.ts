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
import { rcuReadLock, rcuReadUnlock } from '../base/rcu.ts';
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
export function* walkTables(cpu: Cpu, vm: Vm, ipa: number, bytes: number, walker: Walker): Program {
  const { granule } = vm;
  const start = alignDown(ipa, vm.pageBytes);
  const end = alignUp(start + bytes, vm.pageBytes);
  if (end > powerOfTwo(vm.ipaBits)) {
    cpu.ret = -ERANGE;
    return;
  }
  const shared = (walker.flags & Walk.Shared) !== 0;
  if (shared) yield* rcuReadLock(cpu);
  while (!cpu.load64(vm.kvmHi, vm.field.pgd, Order.Relaxed)) yield;
  const rootHi = cpu.hi | LINEAR_MAP_HI;
  const rootLo = cpu.lo;
  const level = vm.startLevel;
  const entriesShift = vm.ipaBits - levelShift(granule, level);
  yield* walkSubtree(cpu, granule, rootHi, rootLo, level, entriesShift, start, end, walker);
  if (shared) {
    const result = cpu.ret;
    yield* rcuReadUnlock(cpu);
    cpu.ret = result;
  }
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
  return walkSubtree(cpu, granule, tableHi, tableLo, level, entriesShift, 0, bytes, walker);
}

/** The loop: descends into tables, returns to their parents, stops at the first error. */
function* walkSubtree(
  cpu: Cpu,
  granule: Granule,
  tableHi: number,
  tableLo: number,
  topLevel: number,
  topEntriesShift: number,
  start: number,
  end: number,
  walker: Walker,
): Program {
  const { flags } = walker;
  const visit = newVisit(tableHi, tableLo, topLevel, flags, start, end);
  /** Entries left in the table. */
  let remaining = enterTable(visit, start, levelShift(granule, topLevel), 1 << topEntriesShift);
  /** The entries that the walk went down by, and what is left of their tables. */
  const parents: number[] = [];
  let ipa = start;
  for (;;) {
    const { level } = visit;
    if (ipa >= end || remaining === 0) {
      if (level === topLevel) break;
      remaining = leaveTable(visit, parents) - 1;
      if ((flags & Walk.TablePost) !== 0) {
        const bytes = powerOfTwo(levelShift(granule, visit.level));
        visit.ipa = Math.max(start, alignDown(ipa - 1, bytes));
        const after = walker.visit(cpu, visit, Walk.TablePost);
        if (after !== null) {
          yield after;
          if (endsWalk(cpu.ret, flags)) return;
        }
      }
      visit.entryLo = (visit.entryLo + DESCRIPTOR_BYTES) | 0;
      continue;
    }
    visit.ipa = ipa;
    while (!cpu.load64(visit.entryHi, visit.entryLo, Order.Acquire)) yield;
    noteEntry(visit, cpu);
    const kind = isTable(cpu.lo, level) ? Walk.TablePre : Walk.Leaf;
    if ((flags & kind) !== 0) {
      const callback = walker.visit(cpu, visit, kind);
      if (callback !== null) {
        yield callback;
        if (endsWalk(cpu.ret, flags)) return;
      }
      // Descend into what is there now: the walker may have put a table in place, or taken it out.
      while (!cpu.load64(visit.entryHi, visit.entryLo, Order.Acquire)) yield;
      noteEntry(visit, cpu);
    }
    const shift = levelShift(granule, level);
    if (!isTable(visit.oldLo, level)) {
      const bytes = powerOfTwo(shift);
      ipa = alignDown(ipa, bytes) + bytes;
      visit.entryLo = (visit.entryLo + DESCRIPTOR_BYTES) | 0;
      remaining--;
      continue;
    }
    assert(level < LAST_LEVEL, 'a walk went below the last level');
    parents.push(visit.entryHi, visit.entryLo, visit.oldHi, visit.oldLo, remaining);
    visit.level = level + 1;
    visit.entryHi = outputHi(visit.oldHi, granule.shift) | LINEAR_MAP_HI;
    visit.entryLo = outputLo(visit.oldLo, granule.shift);
    remaining = enterTable(visit, ipa, levelShift(granule, level + 1), 1 << granule.entriesShift);
  }
  cpu.ret = 0;
}

/** Back to the entry that led to this table; entries left from there. */
function leaveTable(visit: Visit, parents: number[]): number {
  const remaining = parents.pop()!;
  visit.oldLo = parents.pop()!;
  visit.oldHi = parents.pop()!;
  visit.entryLo = parents.pop()!;
  visit.entryHi = parents.pop()!;
  visit.level--;
  return remaining;
}

/**
 * Moves a visit from the start of its table to the entry for an address; entries left from there.
 */
function enterTable(visit: Visit, ipa: number, shift: number, entries: number): number {
  const entry = Math.floor(ipa / powerOfTwo(shift));
  const index = entry - alignDown(entry, entries);
  visit.entryLo = (visit.entryLo + index * DESCRIPTOR_BYTES) | 0;
  return entries - index;
}

/** kvm_pgtable_walk_continue, negated. */
function endsWalk(result: number, flags: number): boolean {
  if (result === -EAGAIN) return (flags & Walk.HandleFault) !== 0;
  return result !== 0;
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

function noteEntry(visit: Visit, cpu: Cpu): void {
  visit.oldHi = cpu.hi;
  visit.oldLo = cpu.lo;
}
