/**
 * Write protection for dirty logging: kvm_pgtable_stage2_wrprotect, kvm_stage2_wp_range,
 * kvm_mmu_wp_memory_region (arch/arm64/kvm/mmu.c). Clears S2AP_W in place, no break. The walk steps
 * over entries that are not there (-EAGAIN). Callers hold mmu_lock for writing and flush later.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { S2_WRITE } from '../../translation/stage2-descriptors.ts';
import { applyRange } from './apply-range.ts';
import { walkTables } from './pgtable-walk.ts';
import { type AttributeChange, attributeWalker } from './relax.ts';
import type { Vm } from './vm.ts';

const REMOVE_WRITE: AttributeChange = { setHi: 0, setLo: 0, clearHi: 0, clearLo: S2_WRITE };

/** Chunked by the smallest block level, with a resched point between chunks. */
export function writeProtectRange(cpu: Cpu, vm: Vm, start: number, end: number): Program {
  return applyRange(cpu, vm, start, end, true, (from, bytes) =>
    walkTables(cpu, vm, from, bytes, attributeWalker(vm, REMOVE_WRITE, 0)),
  );
}
