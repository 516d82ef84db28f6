/**
 * TLB invalidation of a VM: __kvm_tlb_flush_vmid_ipa, its _nsh form, kvm_tlb_flush_vmid_range,
 * __kvm_tlb_flush_vmid, __kvm_flush_vm_context (arch/arm64/kvm/hyp/vhe/tlb.c, hyp/pgtable.c).
 *
 * A stage-2-only form leaves combined entries in place, so each by-IPA flush throws away the
 * guest's whole stage 1 after it, with a DSB between: otherwise a walk could refill a combined
 * entry from the old stage 2. Every flush starts with a DSB that makes the descriptor store
 * visible.
 *
 * Deviation: the level hint of a TLBI is not passed on (hardware may ignore it).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Register, Scope, Tlbi } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { addressHi, addressLo } from './address.ts';
import type { Vm } from './vm.ts';

/** MAX_TLBI_RANGE_PAGES (asm/tlbflush.h): (31 + 1) << (5 * 3 + 1). */
export const MAX_TLBI_RANGE_PAGES = 2_097_152;

/**
 * One flush, from enter_vmid_context to its end. `operation`: on `ipa`, or (pages > 1) range forms
 * from there. `stage1`: what throws away the guest's stage-1 and combined entries after a
 * stage-2-only operation; null = the operation does.
 */
function* flush(
  cpu: Cpu,
  vm: Vm,
  operation: Tlbi,
  ipa: number,
  pages: number,
  stage1: Tlbi | null,
  scope: Scope,
): Program {
  // Prior stores are visible, VTTBR holds the target's root and VMID.
  const { steps } = vm;
  while (!steps.storesVisible(cpu)) yield;
  cpu.spend(Cost.VmidContext);
  while (!steps.flushedVmid(cpu, vm)) yield;
  const vmid = cpu.lo & 0xffff;
  while (!cpu.load64(vm.kvmHi, vm.field.pgd, Order.Relaxed)) yield;
  const rootHi = cpu.hi;
  const rootLo = cpu.lo;
  while (!cpu.setRoot(Register.Vttbr, rootHi, rootLo, vmid)) yield;
  while (!cpu.fence(Fence.Isb)) yield;

  const wide = steps.form(operation);
  if (stage1 !== null) while (!steps.stage1Before(cpu, steps.form(stage1))) yield;
  if (pages > 1) yield* issueRange(cpu, vm, ipa, pages);
  else while (!cpu.tlbi(wide, addressHi(ipa), addressLo(ipa), 0)) yield;
  if (stage1 !== null) {
    while (!cpu.dsb(scope)) yield;
    while (!steps.stage1After(cpu, steps.form(stage1))) yield;
  }
  while (!steps.tlbiComplete(cpu, scope)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
}

/** One IPA on every CPU; all of the VM's stage 1 goes with it. */
export function flushIpa(cpu: Cpu, vm: Vm, ipa: number): Program {
  return flush(cpu, vm, Tlbi.IpaS2E1Is, ipa, 1, Tlbi.VmallE1Is, Scope.InnerShareable);
}

/** One IPA on this CPU: a stale, more restrictive entry elsewhere merely refaults. */
export function flushIpaLocal(cpu: Cpu, vm: Vm, ipa: number): Program {
  return flush(cpu, vm, Tlbi.IpaS2E1, ipa, 1, Tlbi.VmallE1, Scope.NonShareable);
}

/** A range of IPAs; without FEAT_TLBIRANGE the whole VMID. */
export function* flushRange(cpu: Cpu, vm: Vm, ipa: number, bytes: number): Program {
  if (!vm.tlbirange) {
    yield* flushVmid(cpu, vm);
    return;
  }
  const end = ipa + bytes;
  const chunkBytes = MAX_TLBI_RANGE_PAGES * vm.pageBytes;
  for (let start = ipa; start < end; start += chunkBytes) {
    const pages = Math.min(MAX_TLBI_RANGE_PAGES, Math.ceil((end - start) / vm.pageBytes));
    const scope = Scope.InnerShareable;
    yield* flush(cpu, vm, Tlbi.IpaS2E1Is, start, pages, Tlbi.VmallE1Is, scope);
  }
}

/**
 * __flush_tlb_range_op: one instruction covers (NUM + 1) << (5 * SCALE + 1) pages, SCALE from 3
 * down to 0, and an odd last page takes the plain form.
 */
function* issueRange(cpu: Cpu, vm: Vm, ipa: number, pages: number): Program {
  let start = ipa;
  let left = pages;
  for (let scale = 3; scale >= 0 && left > 1; scale--) {
    const unit = 2 ** (5 * scale + 1);
    const units = Math.min(32, Math.floor(left / unit));
    if (units === 0) continue;
    const covered = units * unit;
    const hi = addressHi(start);
    const lo = addressLo(start);
    while (!cpu.tlbi(Tlbi.RipaS2E1Is, hi, lo, covered)) yield;
    start += covered * vm.pageBytes;
    left -= covered;
  }
  if (left > 0) {
    const hi = addressHi(start);
    const lo = addressLo(start);
    while (!cpu.tlbi(Tlbi.IpaS2E1Is, hi, lo, 0)) yield;
  }
}

/** Stage 1 and 2 of the whole VMID. */
export function flushVmid(cpu: Cpu, vm: Vm): Program {
  return flush(cpu, vm, Tlbi.VmallS12E1Is, 0, 1, null, Scope.InnerShareable);
}

/** Every VMID, and the instruction caches: VMID rollover. */
export function* flushAllVmids(cpu: Cpu): Program {
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  while (!cpu.tlbi(Tlbi.AllE1Is, 0, 0, 0)) yield;
  while (!cpu.tlbi(Tlbi.IcIalluIs, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}
