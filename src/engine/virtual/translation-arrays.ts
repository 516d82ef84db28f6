/** The TLBs and walk caches of a CPU, by the machine's figures; watched ones with checks on. */

import type { CpuWatch } from '../../checkers/cpu-watch.ts';
import type { Machine } from '../../machine/machine.ts';
import { Tlb, TlbKind } from '../../translation/tlb.ts';
import { WalkCache } from '../../translation/walk-cache.ts';

export interface TranslationArrays {
  readonly dtlb: Tlb;
  readonly itlb: Tlb;
  readonly tlb2: Tlb;
  readonly walkCache: WalkCache;
}

export function makeTranslationArrays(machine: Machine, watch: CpuWatch | null): TranslationArrays {
  const { dtlb, itlb, tlb2 } = machine;
  const walkEntries = Math.max(1, machine.walkCacheEntries);
  if (watch === null) {
    return {
      dtlb: new Tlb(dtlb.entries, dtlb.ways),
      itlb: new Tlb(itlb.entries, itlb.ways),
      tlb2: new Tlb(tlb2.entries, tlb2.ways),
      walkCache: new WalkCache(walkEntries),
    };
  }
  const below = watch.newTlb(tlb2.entries, tlb2.ways);
  return {
    dtlb: watch.newTlb(dtlb.entries, dtlb.ways, TlbKind.Combined, below),
    itlb: watch.newTlb(itlb.entries, itlb.ways, TlbKind.Combined, below),
    tlb2: below,
    walkCache: new WalkCache(walkEntries, walkEntries, (entries, kind) =>
      watch.newTlb(entries, 0, kind),
    ),
  };
}
