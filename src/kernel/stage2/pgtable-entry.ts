/**
 * Changing one stage-2 entry: stage2_try_set_pte (steps.ts), stage2_try_break_pte, stage2_make_pte
 * (arch/arm64/kvm/hyp/pgtable.c, v6.2 and later). Break writes KVM_INVALID_PTE_LOCKED, which no
 * hardware walk passes and which only its writer may replace; make is a store-release.
 *
 * Invariant (I2): between a break and its make exactly one CPU owns the entry. Under an exclusive
 * walk mmu_lock says so; under a shared one the compare-and-swap does.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Metric } from '../../metrics/definition.ts';
import { notePassed } from '../../sync/lock-events.ts';
import { isValid } from '../../translation/descriptors.ts';
import { levelShift } from '../../translation/granule.ts';
import {
  isCounted,
  isLockedInvalid,
  KVM_INVALID_PTE_LOCKED,
} from '../../translation/stage2-descriptors.ts';
import { alignDown } from './address.ts';
import { Stage2Branch } from './branches.ts';
import { type Visit, Walk } from './pgtable-walk.ts';
import { getTablePage, putTablePage } from './table-page.ts';
import { flushIpa, flushRange } from './tlb-flush.ts';
import type { Vm } from './vm.ts';

/**
 * Takes the entry: locked, its old translation gone from every TLB, the table's count dropped.
 * Result in cpu.ok; false = another CPU has it.
 */
export function* tryBreakEntry(cpu: Cpu, vm: Vm, visit: Visit): Program {
  const { oldHi, oldLo, level } = visit;
  if (isLockedInvalid(oldLo)) {
    assert((visit.flags & Walk.Shared) !== 0, 'an exclusive walk met a locked entry');
    notePassed(cpu, Stage2Branch.MetBroken);
    cpu.ok = false;
    return;
  }
  cpu.ok = true;
  if (vm.steps.breaks(visit)) {
    while (!vm.steps.trySet(cpu, visit, 0, KVM_INVALID_PTE_LOCKED)) yield;
  }
  if (!cpu.ok) {
    notePassed(cpu, Stage2Branch.Lost);
    return;
  }
  if ((visit.flags & Walk.SkipBbmTlbi) === 0 && isValid(oldLo) && vm.steps.breakFlushes(visit)) {
    const inFault = (visit.flags & Walk.HandleFault) !== 0;
    if (inFault) cpu.begin(Metric.FaultTlbi);
    if (vm.steps.flushesRange(oldLo, level)) {
      const bytes = 2 ** levelShift(vm.granule, level);
      yield* flushRange(cpu, vm, alignDown(visit.ipa, bytes), bytes);
    } else {
      yield* flushIpa(cpu, vm, visit.ipa);
    }
    if (inFault) cpu.end(Metric.FaultTlbi);
  }
  if (vm.steps.breakPuts(oldHi, oldLo))
    while (!putTablePage(cpu, vm, visit.entryHi, visit.entryLo)) yield;
  cpu.ok = true;
}

/** Publishes the new value of an entry that this CPU has broken. */
export function* makeEntry(cpu: Cpu, vm: Vm, visit: Visit, hi: number, lo: number): Program {
  if (isCounted(hi, lo)) while (!getTablePage(cpu, vm, visit.entryHi, visit.entryLo)) yield;
  while (!vm.steps.make(cpu, visit, hi, lo)) yield;
}
