/**
 * flush_tlb_kernel_range: no CPU translates through the old entries of a range of kernel addresses
 * when it returns.
 *
 * arm64 (arch/arm64/include/asm/tlbflush.h): DSB ISHST, TLBI VAAE1IS per page or, beyond the
 * cut-off, VMALLE1IS, DSB ISH, ISB: every CPU by DVM, nobody is interrupted.
 * x86 (arch/x86/mm/tlb.c, do_kernel_range_flush, do_flush_tlb_all): on_each_cpu, so an IPI to every
 * CPU, INVLPG per page or, beyond tlb_single_page_flush_ceiling, the whole TLB.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Scope, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { Counter } from '../../metrics/definition.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { CallFunction, SmpCalls } from '../smp/call-function.ts';

/** MAX_DVM_OPS: PTRS_PER_PTE with 4K pages. */
const MAX_DVM_OPS = 512;
/** tlb_single_page_flush_ceiling. */
const SINGLE_PAGE_CEILING = 33;
const TWO_32 = 0x1_0000_0000;

/** Words of the caller's that a flush by IPI reads: the address, then the pages. */
export const FLUSH_INFO_BYTES = 16;

/** A CPU's own way to flush kernel addresses everywhere. */
export type FlushKernelRange = (cpu: Cpu, hi: number, lo: number, pages: number) => Program;

export function* flushByDvm(cpu: Cpu, hi: number, lo: number, pages: number): Program {
  cpu.count(Counter.KernelRangeFlushes, 1);
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  if (pages >= MAX_DVM_OPS) {
    while (!cpu.tlbi(Tlbi.VmallHostIs, 0, 0, 0)) yield;
  } else {
    for (let page = 0; page < pages; page++) {
      const at = (lo >>> 0) + page * PAGE_BYTES;
      while (!cpu.tlbi(Tlbi.VaaE1Is, (hi + Math.floor(at / TWO_32)) | 0, at | 0, 0)) yield;
    }
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
}

/** This CPU alone: INVLPG by page, or all. */
export function* flushLocally(cpu: Cpu, hi: number, lo: number, pages: number): Program {
  if (pages > SINGLE_PAGE_CEILING) {
    while (!cpu.tlbi(Tlbi.VmallHost, 0, 0, 0)) yield;
  } else {
    for (let page = 0; page < pages; page++) {
      const at = (lo >>> 0) + page * PAGE_BYTES;
      while (!cpu.tlbi(Tlbi.VaE1, (hi + Math.floor(at / TWO_32)) | 0, at | 0, 0)) yield;
    }
  }
  while (!cpu.dsb(Scope.NonShareable)) yield;
}

/** The function that receivers of a flush by IPI run: do_kernel_range_flush. */
export const answerFlush: CallFunction = function* (cpu, infoHi, infoLo) {
  while (!cpu.load64(infoHi, infoLo, Order.Relaxed)) yield;
  const { hi, lo } = cpu;
  while (!cpu.load32(infoHi, infoLo + 8, Order.Relaxed)) yield;
  yield* flushLocally(cpu, hi, lo, cpu.lo);
};

export interface IpiFlush {
  readonly smp: SmpCalls;
  /** Number of answerFlush among the functions of `smp`. */
  readonly functionNumber: number;
  /** Linear-map address of FLUSH_INFO_BYTES that are the CPU's own. */
  readonly infoHi: number;
  readonly infoLo: number;
}

function flushByIpi({ smp, functionNumber, infoHi, infoLo }: IpiFlush): FlushKernelRange {
  return function* (cpu, hi, lo, pages) {
    cpu.count(Counter.KernelRangeFlushes, 1);
    while (!cpu.store64(infoHi, infoLo, hi, lo, Order.Relaxed)) yield;
    while (!cpu.store32(infoHi, infoLo + 8, pages, Order.Relaxed)) yield;
    yield* flushLocally(cpu, hi, lo, pages);
    yield* smp.callOthers(cpu, functionNumber, infoHi, infoLo);
  };
}

/** As the machine has it: DVM where there is some, IPIs on x86. */
export function makeKernelFlush(machine: Machine, ipi: IpiFlush): FlushKernelRange {
  return machine.architecture === 'x86' ? flushByIpi(ipi) : flushByDvm;
}
