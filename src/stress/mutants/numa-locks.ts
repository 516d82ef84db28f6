/**
 * Mutants of the NUMA-aware locks: CNA, cohort, HMCS. CPUs 0 and 1 are of one node, others not.
 */

import { Order } from '../../cpu/operations.ts';
import { cnaSteps, makeCnaLock } from '../../sync/cna.ts';
import { cohortSteps, makeCohortLock } from '../../sync/cohort.ts';
import { hmcsSteps, makeHmcsLock } from '../../sync/hmcs.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { STARVATION } from '../oracles/starvation.ts';
import { mutatedLock } from './mutated-lock.ts';

/** Two CPUs of one node could pass the lock to each other; a bound for a small threshold. */
const PING_PONG = {
  parts: ['write'],
  size: { cpus: 3, operations: 8 },
  bypasses: 6,
} as const;
const SMALL_THRESHOLD = 2;

/**
 * A row of owners is of one node; a CPU of the other one, in the queue of nodes while the first of
 * a row holds the lock, is overtaken by the rest of it.
 */
const ROWS = { ...PING_PONG, bypasses: SMALL_THRESHOLD - 1 } as const;

export const NUMA_LOCK_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M22',
    name: 'cna-drop-secondary',
    change: 'when the main queue empties, the tail is cleared though a second queue is there',
    model: 'sc',
    depth: 3,
    oracles: [EXCLUSION, DEADLOCK, LOST_UPDATE],
    parts: ['write'],
    size: { cpus: 4, operations: 2 },
    make: () =>
      makeCnaLock({
        ...cnaSteps,
        *promoteSecond(cpu, hi, lo, self) {
          while (!cpu.cas32(hi, lo, self, 0, Order.Release)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'M23',
    name: 'cna-no-threshold',
    change: 'the lock stays in its node as long as somebody waits there',
    model: 'sc',
    oracles: [STARVATION],
    ...PING_PONG,
    make: () => makeCnaLock({ ...cnaSteps, stayLocal: () => true }),
  }),
  mutatedLock({
    id: 'M24',
    name: 'cohort-pass-no-global',
    change: 'the local lock is passed with the global one, which has been released',
    model: 'sc',
    depth: 3,
    oracles: [EXCLUSION, LOST_UPDATE, DEADLOCK],
    parts: ['write'],
    size: { cpus: 3, operations: 2 },
    make: () => makeCohortLock({ ...cohortSteps, passLocal: cohortSteps.passBoth }),
  }),
  mutatedLock({
    id: 'M25',
    name: 'hmcs-threshold-off',
    change:
      'the threshold is compared by >, and with the count as it was: rows of twice as many owners',
    model: 'sc',
    oracles: [STARVATION],
    ...ROWS,
    make: () => makeHmcsLock({ ...hmcsSteps, mayPass: (owners) => owners - 1 <= SMALL_THRESHOLD }),
  }),
];

export const NUMA_LOCK_CONTROLS: readonly Mutant[] = [
  mutatedLock({
    id: 'C06',
    name: 'cna-small-threshold',
    change: 'the lock leaves its node after two hand-overs inside it',
    model: 'sc',
    oracles: [],
    ...PING_PONG,
    make: () => makeCnaLock({ ...cnaSteps, stayLocal: (handovers) => handovers < SMALL_THRESHOLD }),
  }),
  mutatedLock({
    id: 'C07',
    name: 'hmcs-small-threshold',
    change: 'the lock leaves its node after two owners in a row',
    model: 'sc',
    oracles: [],
    ...ROWS,
    make: () => makeHmcsLock({ ...hmcsSteps, mayPass: (owners) => owners < SMALL_THRESHOLD }),
  }),
];
