/**
 * Branches of stage-2 code that only meet when CPUs do, told where they are passed (notePassed,
 * src/sync/lock-events.ts) and goals of stress targets that get there (src/stress/targets): a pass
 * that has not been in them says little about the protocol. Sizes are CPUs and rounds of each.
 */

import { type LockBranch, lockBranch } from '../../sync/lock-events.ts';

const branch = (name: string): LockBranch => lockBranch('stage2', name, [2, 1]);

export const Stage2Branch = {
  /** tryBreakEntry, stage2_attr_walker, lockDescendants: -EAGAIN. */
  MetBroken: branch('a walk met an entry that another had broken'),
  /** The compare-and-swap of an entry fails: -EAGAIN. */
  Lost: branch('an entry changed under a walk'),
  /** The table that was to go there is given back. */
  TableInVain: branch('a table was made in vain'),
  FoundRelaxed: branch('a fault found its permission relaxed'),
  Split: branch('a block was split'),
  Coalesced: branch('a block took the place of a table'),
  /** Entries of the table were held by another. */
  GaveUp: branch('a collapse gave up'),
} as const;
