/**
 * Ageing: kvm_pgtable_stage2_test_clear_young, stage2_age_walker (arch/arm64/kvm/hyp/pgtable.c).
 * Clears the access flag under an exclusive mmu_lock. No TLBI here: the core mm issues one where it
 * wants one, and clear_young has none at all, so cached entries keep working.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { isValid, PTE_AF } from '../../translation/descriptors.ts';
import { EAGAIN } from '../base/errno.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import type { Vm } from './vm.ts';

interface AgeData {
  young: boolean;
}

/** Result in cpu.ok: some page of the range was young. */
export function* testClearYoung(cpu: Cpu, vm: Vm, ipa: number, bytes: number): Program {
  const data: AgeData = { young: false };
  const walker: Walker = {
    flags: Walk.Leaf,
    visit(at, visit) {
      const isOld = (visit.oldLo & PTE_AF) === 0;
      return !isValid(visit.oldLo) || isOld ? null : ageLeaf(at, vm, visit, data);
    },
  };
  yield* walkTables(cpu, vm, ipa, bytes, walker);
  cpu.ok = data.young;
}

function* ageLeaf(cpu: Cpu, vm: Vm, visit: Visit, data: AgeData): Program {
  data.young = true;
  while (!vm.steps.trySet(cpu, visit, visit.oldHi, visit.oldLo & ~PTE_AF)) yield;
  cpu.ret = cpu.ok ? 0 : -EAGAIN;
}
