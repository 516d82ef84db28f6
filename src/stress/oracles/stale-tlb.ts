/**
 * No access goes through a translation to a frame that was freed: the kernel frees a frame after
 * the TLBI and the DSB that took its translations away, so who still gets there used a stale TLB
 * entry. Until the DSB is complete, and for more restrictive entries for ever, old translations are
 * legal: nothing here looks at those. As src/checkers/freed-frames.ts, at the very step.
 *
 * On real threads an access is an interval: the frame was freed before it began, and is when it is
 * over.
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const STALE_TLB = 'stale-tlb';

export const STALE_TLB_FACTS: OracleFacts = {
  name: STALE_TLB,
  description: 'no access goes through a translation to a frame that was freed after TLBI and DSB',
  engines: ['explore', 'host', 'virtual'],
};

const PAGE_SHIFT = 12;
const ORDER_MASK = 0xfff;

function pageOf(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** (32 - PAGE_SHIFT) + (lo >>> PAGE_SHIFT);
}

export function makeStaleTlb(context: OracleContext): StressOracle {
  /** Freed pages: who freed them, and when. */
  const freed = new Map<number, { readonly cpu: number; readonly at: number }>();
  /** By CPU: when the access began that is under way. */
  const began: number[] = [];
  let now = 0;
  return {
    name: STALE_TLB,
    event(cpu, kind, hi, lo) {
      if (kind !== EventKind.FrameFreed && kind !== EventKind.FrameAllocated) return;
      const first = pageOf(hi, lo);
      for (let page = first; page < first + 2 ** (lo & ORDER_MASK); page++) {
        if (kind === EventKind.FrameFreed) freed.set(page, { cpu, at: now++ });
        else freed.delete(page);
      }
    },
    began(cpu) {
      began[cpu] = now;
    },
    translated({ cpu, paHi, paLo, write }) {
      const by = freed.get(pageOf(paHi, paLo));
      if (by === undefined || by.at >= (began[cpu] ?? now)) return;
      const text = `${write ? 'writes to' : 'reads'} a frame that was freed, through its TLB`;
      context.fail({ oracle: STALE_TLB, cpus: [cpu, by.cpu], text, hi: paHi, lo: paLo });
    },
  };
}
