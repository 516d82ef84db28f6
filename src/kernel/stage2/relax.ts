/**
 * Changing attributes of leaves without breaking them: stage2_update_leaf_attrs,
 * stage2_attr_walker, and on top of it kvm_pgtable_stage2_relax_perms and
 * kvm_pgtable_stage2_mkyoung (arch/arm64/kvm/hyp/pgtable.c).
 *
 * Permission-only changes need no break-before-make. The flush after relaxing is local from v6.5
 * on: another CPU may keep a more restrictive entry and merely faults again. It is issued even when
 * the entry had changed already, because this CPU's TLB may hold the entry that faulted; without it
 * the guest would fault for ever.
 *
 * A race with a hardware update of the access flag may lose that update; the next access sets it.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Fence } from '../../cpu/operations.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { notePassed } from '../../sync/lock-events.ts';
import {
  isValid,
  outputHi,
  outputLo,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
  PTE_AF,
} from '../../translation/descriptors.ts';
import { levelShift } from '../../translation/granule.ts';
import { S2_READ, S2_WRITE, S2_XN_HI } from '../../translation/stage2-descriptors.ts';
import { EAGAIN } from '../base/errno.ts';
import { addressOf } from './address.ts';
import { Stage2Branch } from './branches.ts';
import { invalidateInstructions } from './cache-maintenance.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import { flushIpa, flushIpaLocal } from './tlb-flush.ts';
import type { Vm } from './vm.ts';

/** stage2_attr_data. */
export interface AttributeChange {
  readonly setHi: number;
  readonly setLo: number;
  readonly clearHi: number;
  readonly clearLo: number;
  /** Set when an entry had to change; absent: nobody asks. */
  changed?: boolean;
}

export function attributeWalker(vm: Vm, change: AttributeChange, modes: number): Walker {
  return {
    flags: modes | Walk.Leaf,
    visit(cpu, visit) {
      const { oldHi, oldLo } = visit;
      const hi = (oldHi & ~change.clearHi) | change.setHi;
      const lo = (oldLo & ~change.clearLo) | change.setLo;
      if (isValid(oldLo) && hi === oldHi && lo === oldLo) return null;
      if (change.changed === false) change.changed = true;
      return changeLeaf(cpu, vm, visit, hi, lo);
    },
  };
}

/** stage2_attr_walker, for an entry that has to change. */
function* changeLeaf(cpu: Cpu, vm: Vm, visit: Visit, hi: number, lo: number): Program {
  const { oldHi, oldLo, level } = visit;
  if (!isValid(oldLo)) {
    notePassed(cpu, Stage2Branch.MetBroken);
    cpu.ret = -EAGAIN;
    return;
  }
  const becomesExecutable = (oldHi & S2_XN_HI) !== 0 && (hi & S2_XN_HI) === 0;
  if (becomesExecutable && !vm.dic) {
    const shift = levelShift(vm.granule, level);
    const physical = addressOf(outputHi(oldHi, shift), outputLo(oldLo, shift));
    yield* invalidateInstructions(cpu, physical, 2 ** shift);
  }
  while (!vm.steps.trySet(cpu, visit, hi, lo)) yield;
  cpu.ret = cpu.ok ? 0 : -EAGAIN;
  if (!cpu.ok) notePassed(cpu, Stage2Branch.Lost);
  if (cpu.ok && (oldLo & ~lo & S2_WRITE) !== 0) {
    const shift = levelShift(vm.granule, level);
    cpu.event(EventKind.PageWriteProtected, outputHi(oldHi, shift), outputLo(oldLo, shift) | shift);
  }
}

/**
 * Adds permissions (PERM_*) to the page of a fault. Result in cpu.ret: 0 or -EAGAIN.
 * `modes`: Walk.Shared, or 0 under an exclusive mmu_lock.
 */
export function* relaxPermissions(
  cpu: Cpu,
  vm: Vm,
  ipa: number,
  permissions: number,
  modes: number,
): Program {
  const change: AttributeChange = {
    setHi: 0,
    setLo:
      ((permissions & PERM_READ) === 0 ? 0 : S2_READ) |
      ((permissions & PERM_WRITE) === 0 ? 0 : S2_WRITE),
    clearHi: (permissions & PERM_EXEC) === 0 ? 0 : S2_XN_HI,
    clearLo: 0,
    changed: false,
  };
  yield* walkTables(cpu, vm, ipa, 1, attributeWalker(vm, change, modes | Walk.HandleFault));
  const result = cpu.ret;
  if ((result === 0 || result === -EAGAIN) && vm.steps.relaxFlushes(change.changed!)) {
    cpu.begin(Metric.FaultTlbi);
    if (vm.options.relaxTlbi === 'local') yield* flushIpaLocal(cpu, vm, ipa);
    else yield* flushIpa(cpu, vm, ipa);
    cpu.end(Metric.FaultTlbi);
  }
  if (result === 0) {
    cpu.count(Counter.FaultsRelaxed, 1);
    if (!change.changed!) notePassed(cpu, Stage2Branch.FoundRelaxed);
  }
  cpu.ret = result;
}

/** Sets the access flag of the page of a fault; no TLBI, as entries without it are never cached. */
export function* makeYoung(cpu: Cpu, vm: Vm, ipa: number, modes: number): Program {
  const change: AttributeChange = { setHi: 0, setLo: PTE_AF, clearHi: 0, clearLo: 0 };
  yield* walkTables(cpu, vm, ipa, 1, attributeWalker(vm, change, modes | Walk.HandleFault));
  const result = cpu.ret;
  if (result === 0) while (!cpu.fence(Fence.DsbIshSt)) yield;
  cpu.ret = result;
}
