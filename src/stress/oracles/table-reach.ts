/**
 * Not an oracle of mistakes but of reach: did anybody read a table that another CPU had taken out
 * of the tree and not freed yet? That is what grace periods, and the order of prune, are for.
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, StressOracle } from './oracle.ts';
import { pageNumber } from './table-trees.ts';

export const WALKED_UNLINKED = 'a table was walked that was out of the tree';

export function makeTableReach(context: OracleContext): StressOracle {
  /** Tables that are out of the tree: who took them out. */
  const unlinked = new Map<number, number>();
  return {
    name: WALKED_UNLINKED,
    begin: () => unlinked.clear(),
    event(cpu, kind, hi, lo) {
      if (kind === EventKind.TablePageUnlinked) unlinked.set(pageNumber(hi, lo), cpu);
      else if (kind === EventKind.TablePageFreed) unlinked.delete(pageNumber(hi, lo));
    },
    access(cpu, hi, lo) {
      if (unlinked.size === 0) return;
      const by = unlinked.get(pageNumber(hi, lo));
      if (by !== undefined && by !== cpu) context.reach(WALKED_UNLINKED);
    },
  };
}
