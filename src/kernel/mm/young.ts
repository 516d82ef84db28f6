/**
 * Ageing a leaf of a process: __ptep_test_and_clear_young (Linux arch/arm64/include/asm/pgtable.h).
 * Hardware may set the access flag and the dirty state of the same descriptor at any time
 * (FEAT_HAFDBS), so the flag is cleared by compare-and-swap. No TLBI, and none is needed: a page
 * that is used through a cached translation is taken for old.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { PTE_AF } from '../../translation/descriptors.ts';

export interface YoungSteps {
  /** (oldHi, oldLo) to (oldHi, lo), if it is the old value still; result in cpu.ok. */
  replace(
    cpu: Cpu,
    entryHi: number,
    entryLo: number,
    oldHi: number,
    oldLo: number,
    lo: number,
  ): boolean;
}

export const youngSteps: YoungSteps = {
  replace: (cpu, entryHi, entryLo, oldHi, oldLo, lo) =>
    cpu.cas64(entryHi, entryLo, oldHi, oldLo, oldHi, lo, Order.Relaxed),
};

/** Result in cpu.ret: 1 = it was young. */
export function* testAndClearYoung(
  cpu: Cpu,
  entryHi: number,
  entryLo: number,
  steps: YoungSteps = youngSteps,
): Program {
  for (;;) {
    while (!cpu.load64(entryHi, entryLo, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    while (!steps.replace(cpu, entryHi, entryLo, hi, lo, lo & ~PTE_AF)) yield;
    if (!cpu.ok) continue;
    cpu.ret = (lo & PTE_AF) === 0 ? 0 : 1;
    return;
  }
}
