/**
 * Cache maintenance before the guest can reach a page: __clean_dcache_guest_page and
 * __invalidate_icache_guest_page (asm/kvm_mmu.h). The data side is cleaned and invalidated to the
 * point of coherency unless the CPU has FEAT_S2FWB; the instruction side is invalidated for
 * executable mappings unless CTR_EL0.DIC says that it needs none.
 *
 * Deviation: with cmo=page, memory without bytes is maintained a whole mapping at a time, at the
 * same cost per line; memory with bytes always goes line by line.
 */

import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Scope, Tlbi } from '../../cpu/operations.ts';
import { isBacked, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Metric } from '../../metrics/definition.ts';
import { S2_XN_HI, s2IsCacheable } from '../../translation/stage2-descriptors.ts';
import { addressHi, addressLo } from './address.ts';
import type { Vm } from './vm.ts';

/** Data side, to the point of coherency (dcache_clean_inval_poc). */
export function* cleanInvalidate(cpu: Cpu, vm: Vm, physical: number, bytes: number): Program {
  const paHi = addressHi(physical);
  const paLo = addressLo(physical);
  const whole = vm.options.cmo === 'page' && !isBacked(paHi, paLo, cpu.backedBytes);
  if (whole) {
    while (!cpu.cleanInvalidatePage(paHi | LINEAR_MAP_HI, paLo, bytes)) yield;
  } else {
    for (let at = physical; at < physical + bytes; at += LINE_BYTES) {
      const hi = addressHi(at) | LINEAR_MAP_HI;
      const lo = addressLo(at);
      while (!cpu.cleanInvalidateLine(hi, lo)) yield;
    }
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

/** Instruction side, to the point of unification (icache_inval_pou). */
export function* invalidateInstructions(cpu: Cpu, physical: number, bytes: number): Program {
  for (let at = physical; at < physical + bytes; at += LINE_BYTES) {
    const hi = addressHi(at) | LINEAR_MAP_HI;
    const lo = addressLo(at);
    while (!cpu.tlbi(Tlbi.IcIvau, hi, lo, 0)) yield;
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
}

/** What stage2_map_walker_try_leaf does for a new leaf (hi, lo), while the entry is locked. */
export function* cleanMappedPage(
  cpu: Cpu,
  vm: Vm,
  physical: number,
  bytes: number,
  hi: number,
  lo: number,
): Program {
  const cleans = !vm.fwb && s2IsCacheable(lo, vm.fwb);
  const invalidates = !vm.dic && (hi & S2_XN_HI) === 0;
  if (!cleans && !invalidates) return;
  cpu.begin(Metric.FaultCmo);
  if (cleans) yield* cleanInvalidate(cpu, vm, physical, bytes);
  if (invalidates) yield* invalidateInstructions(cpu, physical, bytes);
  cpu.end(Metric.FaultCmo);
}
