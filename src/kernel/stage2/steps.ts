/**
 * The steps of stage 2 that a variant may replace one by one: how an entry is changed, how its old
 * translation goes, how what was unlinked is freed, what a fault heeds under the lock. What is here
 * is what the kernel does (arch/arm64/kvm/hyp/pgtable.c, hyp/vhe/tlb.c, mmu.c).
 *
 * Steps of one access are attempts, as any (cpu.ts); steps that only decide are predicates.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, type Scope, type Tlbi } from '../../cpu/operations.ts';
import { isTable } from '../../translation/descriptors.ts';
import { isCounted } from '../../translation/stage2-descriptors.ts';
import { rcuNest, rcuReadUnlock } from '../base/rcu.ts';
import { type Visit, Walk } from './pgtable-walk.ts';
import type { Vm } from './vm.ts';

export interface Stage2Steps {
  /** Result in cpu.ok: the entry was still as visited and holds the new value now. */
  trySet(cpu: Cpu, visit: Visit, hi: number, lo: number): boolean;
  /** Publishes the new value of an entry that this CPU has broken. */
  make(cpu: Cpu, visit: Visit, hi: number, lo: number): boolean;
  /** Is an entry broken before it is made anew? */
  breaks(visit: Visit): boolean;
  /** Does the old, valid translation of a broken entry have to go from the TLBs? */
  breakFlushes(visit: Visit): boolean;
  /** All that an entry covers has to go, not only the page of the walk. */
  flushesRange(lo: number, level: number): boolean;
  /** Breaking drops the table's count of an entry with this content. */
  breakPuts(hi: number, lo: number): boolean;
  /** Before a TLBI: earlier stores of descriptors are visible to walks. */
  storesVisible(cpu: Cpu): boolean;
  /** The VMID that a flush is for; result in cpu.lo. */
  flushedVmid(cpu: Cpu, vm: Vm): boolean;
  /** The form of a TLBI that is to reach all CPUs. */
  form(operation: Tlbi): Tlbi;
  /** Before and after stage 2's own TLBI: combined entries of the guest's stage 1. */
  stage1Before(cpu: Cpu, operation: Tlbi): boolean;
  stage1After(cpu: Cpu, operation: Tlbi): boolean;
  /** After a TLBI: it is complete everywhere. */
  tlbiComplete(cpu: Cpu, scope: Scope): boolean;
  /** After permissions were relaxed, or found to be (`changed` = false). */
  relaxFlushes(changed: boolean): boolean;
  /** Gives an entry back that was locked with its siblings. */
  unlock(cpu: Cpu, entryHi: number, entryLo: number, hi: number, lo: number): boolean;
  /** What was unlinked is freed at once, and not after a grace period. */
  freesAtOnce(vm: Vm): boolean;
  /** Are the leaves of a table locked before a block takes its place? */
  locksDescendants(vm: Vm): boolean;
  /** Does a fault heed that the page it has looked up may be gone? */
  retries(mayBeGone: boolean): boolean;
  /** Is the invalidate sequence read before the lock of the VMA is dropped? */
  readsSequenceLocked(): boolean;
  /** A walk that shares the tree begins a read-side section (nested `depth` deep), and ends it. */
  walkBegin(cpu: Cpu, depth: number): boolean;
  walkEnd(cpu: Cpu): Program;
  /** Do translations of an old generation of VMIDs have to go before the VMIDs are used again? */
  rolloverFlushes(): boolean;
}

export const stage2Steps: Stage2Steps = {
  // stage2_try_set_pte.
  trySet(cpu, { entryHi, entryLo, oldHi, oldLo, flags }, hi, lo) {
    if ((flags & Walk.Shared) !== 0) {
      return cpu.cas64(entryHi, entryLo, oldHi, oldLo, hi, lo, Order.Relaxed);
    }
    if (!cpu.store64(entryHi, entryLo, hi, lo, Order.Relaxed)) return false;
    cpu.ok = true;
    return true;
  },

  // stage2_make_pte: smp_store_release.
  make: (cpu, visit, hi, lo) => cpu.store64(visit.entryHi, visit.entryLo, hi, lo, Order.Release),

  breaks: () => true,
  breakFlushes: () => true,
  flushesRange: isTable,
  breakPuts: isCounted,

  // dsb(ishst) at the start of every __kvm_tlb_flush_*.
  storesVisible: (cpu) => cpu.fence(Fence.DsbIshSt),

  flushedVmid: (cpu, vm) => cpu.load64(vm.kvmHi, vm.field.vmid, Order.Relaxed),
  form: (operation) => operation,
  stage1Before: () => true,
  stage1After: (cpu, operation) => cpu.tlbi(operation, 0, 0, 0),
  tlbiComplete: (cpu, scope) => cpu.dsb(scope),
  relaxFlushes: () => true,

  unlock: (cpu, entryHi, entryLo, hi, lo) => cpu.store64(entryHi, entryLo, hi, lo, Order.Release),

  freesAtOnce: (vm) => vm.options.prune === 'immediate',
  locksDescendants: (vm) => vm.options.prune === 'lock-descendants',
  retries: (mayBeGone) => mayBeGone,
  readsSequenceLocked: () => true,

  // kvm_pgtable_walk_begin, kvm_pgtable_walk_end.
  walkBegin: rcuNest,
  walkEnd: rcuReadUnlock,

  rolloverFlushes: () => true,
};
