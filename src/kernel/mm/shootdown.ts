/**
 * TLB invalidation of a process on a machine without broadcasts (arch/x86/mm/tlb.c, v6.13:
 * flush_tlb_mm_range, flush_tlb_multi, flush_tlb_func): the CPU invalidates its own entries, by
 * INVLPG up to tlb_single_page_flush_ceiling, else all, and makes every other CPU that runs the
 * process do the same by IPI. Must be called with interrupts enabled.
 *
 * Deviations: mm_cpumask is fixed (each task keeps its CPU), no lazy TLB mode and no tlb_gen, so
 * flushes are never merged; a whole flush takes the kernel's entries, too, where a write of CR3
 * leaves global ones; INVLPG is the local TLBI by address, in the profile at its own cost.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order, Scope, Tlbi } from '../../cpu/operations.ts';
import { PerCpu } from '../../cpu/per-cpu.ts';
import type { CallFunction, SmpCalls } from '../smp/call-function.ts';
import { vaHi, vaLo } from './virtual-address.ts';

/** tlb_single_page_flush_ceiling. */
const SINGLE_PAGE_CEILING = 33;
/** The caller's words: address, then number of entries and bytes that each covers. */
const Info = { Start: 0, Count: 8, StrideBytes: 12 } as const;
const TWO_32 = 0x1_0000_0000;

/** Returns when no CPU of the process translates through the old entries of a range any more. */
export type Shootdown = (cpu: Cpu, start: number, end: number, strideBytes: number) => Program;

function* flushLocally(cpu: Cpu, start: number, count: number, strideBytes: number): Program {
  if (count > SINGLE_PAGE_CEILING) {
    while (!cpu.tlbi(Tlbi.VmallHost, 0, 0, 0)) yield;
  } else {
    for (let entry = 0; entry < count; entry++) {
      const address = start + entry * strideBytes;
      while (!cpu.tlbi(Tlbi.VaE1, vaHi(address), vaLo(address), 0)) yield;
    }
  }
  while (!cpu.dsb(Scope.NonShareable)) yield;
}

/** flush_tlb_func: what the other CPUs run. */
export const answerShootdown: CallFunction = function* (cpu, infoHi, infoLo) {
  while (!cpu.load64(infoHi, infoLo + Info.Start, Order.Relaxed)) yield;
  const start = (cpu.hi >>> 0) * TWO_32 + (cpu.lo >>> 0);
  while (!cpu.load64(infoHi, infoLo + Info.Count, Order.Relaxed)) yield;
  const { hi: strideBytes, lo: count } = cpu;
  yield* flushLocally(cpu, start, count, strideBytes);
};

/** `others`: function calls to the CPUs that run the process, null if no other CPU does. */
export function makeShootdown(others: SmpCalls | null, functionNumber: number): Shootdown {
  return function* (cpu, start, end, strideBytes) {
    const count = Math.ceil((end - start) / strideBytes);
    yield* flushLocally(cpu, start, count, strideBytes);
    if (others === null) return;
    const infoHi = cpu.perCpuHi(cpu.id);
    const infoLo = (cpu.perCpuLo(cpu.id) + PerCpu.Smp) | 0;
    const at = infoLo + Info.Start;
    while (!cpu.store64(infoHi, at, vaHi(start), vaLo(start), Order.Relaxed)) yield;
    while (!cpu.store64(infoHi, infoLo + Info.Count, strideBytes, count, Order.Relaxed)) yield;
    yield* others.callOthers(cpu, functionNumber, infoHi, infoLo);
  };
}
