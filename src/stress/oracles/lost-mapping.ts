/**
 * Where a table is taken out of the tree with all its entries locked (prune=lock-descendants, "KVM:
 * arm64: Parallelize stage 2 fault handling", RFC of April 2022), nobody maps anything into it
 * afterwards: a map that succeeds is found by the next walk. The merged series promises less, a
 * mapping that is lost there only faults once more; so this listens where a target asks for it.
 */

import { EventKind } from '../../cpu/operations.ts';
import { isValid } from '../../translation/descriptors.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const LOST_MAPPING = 'lost-mapping';

export const LOST_MAPPING_FACTS: OracleFacts = {
  name: LOST_MAPPING,
  description: 'nobody maps into a table that was taken out of the tree with its entries locked',
  engines: ['explore'],
};

const PAGE_SHIFT = 12;

function pageOf(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** (32 - PAGE_SHIFT) + (lo >>> PAGE_SHIFT);
}

export function makeLostMapping(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  /** Tables that are out of the tree: who took them out. */
  const unlinked = new Map<number, number>();
  return {
    name: LOST_MAPPING,
    event(cpu, kind, hi, lo) {
      if (kind === EventKind.TablePageUnlinked) unlinked.set(pageOf(hi, lo), cpu);
      else if (kind === EventKind.TablePageFreed) unlinked.delete(pageOf(hi, lo));
    },
    wrote(cpu, hi, lo, bytes) {
      if (bytes !== 8 || unlinked.size === 0 || !isValid(word(hi, lo))) return;
      const by = unlinked.get(pageOf(hi, lo));
      if (by === undefined) return;
      const text = 'maps into a table that is out of the tree';
      context.fail({ oracle: LOST_MAPPING, cpus: [cpu, by], text, hi, lo });
    },
  };
}
