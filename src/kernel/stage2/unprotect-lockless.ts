/**
 * writeProtect=lockless: resolves a write-protection fault of a page by one compare-and-swap inside
 * an RCU section, without mmu_lock and without a page look-up (x86: fast_page_fault,
 * fast_pf_fix_direct_spte; no arm64 kernel). A software bit in the entry says that the host maps
 * the frame writable, as x86's DEFAULT_SPTE_HOST_WRITABLE does.
 *
 * An exclusive walker may overwrite the new value with one made from the old; then the write
 * permission is lost and the guest faults once more, or the page is unmapped and flushed.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { isValid } from '../../translation/descriptors.ts';
import { LAST_LEVEL } from '../../translation/granule.ts';
import { S2_WRITE } from '../../translation/stage2-descriptors.ts';
import { EAGAIN, ENOENT } from '../base/errno.ts';
import { markPageDirty } from './dirty-bitmap.ts';
import { type Visit, Walk, type Walker, walkTables } from './pgtable-walk.ts';
import { flushIpa, flushIpaLocal } from './tlb-flush.ts';
import type { SlotImage, Vm } from './vm.ts';

/** Software bit 55 of a leaf: the host maps the frame writable. */
export const HOST_WRITABLE_HI = 1 << 23;

/** cpu.ret = 0: resolved (or another CPU was faster); -ENOENT: take the slow path. */
export function* unprotectLockless(cpu: Cpu, vm: Vm, slot: SlotImage, ipa: number): Program {
  const walker: Walker = {
    flags: Walk.Leaf | Walk.Shared | Walk.HandleFault,
    visit: (at, visit) => unprotect(at, vm, visit),
  };
  cpu.begin(Metric.FaultWalk);
  yield* walkTables(cpu, vm, ipa, 1, walker);
  cpu.end(Metric.FaultWalk);
  const result = cpu.ret;
  if (result === -ENOENT) return;
  cpu.begin(Metric.FaultTlbi);
  if (vm.options.relaxTlbi === 'local') yield* flushIpaLocal(cpu, vm, ipa);
  else yield* flushIpa(cpu, vm, ipa);
  cpu.end(Metric.FaultTlbi);
  if (result === 0) {
    cpu.count(Counter.FaultsRelaxed, 1);
    while (!markPageDirty(cpu, slot, ipa - slot.baseIpa)) yield;
  } else {
    cpu.count(Counter.FaultsRetried, 1);
  }
  cpu.ret = 0;
}

function* unprotect(cpu: Cpu, vm: Vm, visit: Visit): Program {
  const { oldHi, oldLo, level } = visit;
  cpu.ret = -ENOENT;
  if (!isValid(oldLo) || level !== LAST_LEVEL || (oldHi & HOST_WRITABLE_HI) === 0) return;
  while (!vm.steps.trySet(cpu, visit, oldHi, oldLo | S2_WRITE)) yield;
  cpu.ret = cpu.ok ? 0 : -EAGAIN;
}
