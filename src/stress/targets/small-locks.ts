/**
 * Locks that do something only after so many acquisitions: under stress, where programs make a
 * handful, after fewer. The numbers are steps of their factories, everything else is the lock that
 * is measured.
 */

import { bravoSteps, makeBravoLock } from '../../sync/bravo.ts';
import { cnaSteps, makeCnaLock } from '../../sync/cna.ts';
import { cohortSteps, makeCohortLock } from '../../sync/cohort.ts';
import { hmcsSteps, makeHmcsLock } from '../../sync/hmcs.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeQueuedReadWriteLock } from '../../sync/qrwlock.ts';

/** Hand-overs inside a node before one leaves it; 64 and 256 are usual. */
const LOCAL_HAND_OVERS = 1;
/** Two of them, for a second queue to grow in between. */
const CNA_HAND_OVERS = 2;
/** Reads through the inner lock before the next one is biased; 64 is usual. */
const READS_UNTIL_BIAS = 1;

export const SMALL_LOCKS: Readonly<Record<string, () => Lock>> = {
  cna: () => makeCnaLock({ ...cnaSteps, stayLocal: (handovers) => handovers < CNA_HAND_OVERS }),
  cohort: () => makeCohortLock({ ...cohortSteps, mayPass: (passes) => passes < LOCAL_HAND_OVERS }),
  hmcs: () => makeHmcsLock({ ...hmcsSteps, mayPass: (owners) => owners <= LOCAL_HAND_OVERS }),
  'bravo-qrwlock': () => makeBravoLock(makeQueuedReadWriteLock(), bravoSteps, READS_UNTIL_BIAS),
};
