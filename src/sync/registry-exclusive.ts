/**
 * The exclusive locks of the registry beside the kernel's and the textbook ones: queue locks of the
 * literature, NUMA-aware locks, sleeping ones, and those for two CPUs.
 */

import { makeAndersonLock } from './anderson.ts';
import { makeCnaLock } from './cna.ts';
import { makeCohortLock } from './cohort.ts';
import { makeDekkerLock } from './dekker.ts';
import { makeFutexMutex } from './futex-mutex.ts';
import { makeHclhLock } from './hclh.ts';
import { makeHemlock } from './hemlock.ts';
import { makeHmcsLock } from './hmcs.ts';
import { makeK42Lock } from './k42.ts';
import type { Lock, LockFacts } from './lock.ts';
import { makeMutex, sleepingMutexSteps } from './mutex.ts';
import { makePetersonLock } from './peterson.ts';
import { makeRtMutex } from './rtmutex.ts';
import { makeTwaLock } from './twa.ts';

export interface ExclusiveLock {
  readonly kind: 'spinlock';
  readonly facts: LockFacts;
  make(): Lock;
}

type Shape = Partial<Pick<LockFacts, 'fair' | 'queue' | 'numaAware' | 'sleeps'>>;

function exclusive(
  make: () => Lock,
  description: string,
  source: string,
  transfers: string,
  shape: Shape,
): ExclusiveLock {
  const usual = { fair: false, queue: true, numaAware: false, readers: 'none' as const };
  return { kind: 'spinlock', facts: { ...usual, description, source, transfers, ...shape }, make };
}

export const EXCLUSIVE_LOCKS: Readonly<Record<string, ExclusiveLock>> = {
  anderson: exclusive(
    () => makeAndersonLock(),
    'array lock: each waits on its own slot',
    'Anderson, IEEE TPDS 1990',
    '4 to 5',
    { fair: true },
  ),
  k42: exclusive(
    () => makeK42Lock(),
    "K42's MCS: queue nodes hidden in acquire",
    'Auslander et al. 2003; Scott 2013, figure 4.13',
    '6 to 7',
    { fair: true },
  ),
  hemlock: exclusive(
    () => makeHemlock(),
    'MCS without nodes: one grant word per CPU',
    'Dice, Kogan, SPAA 2021',
    '3',
    { fair: true },
  ),
  twa: exclusive(
    () => makeTwaLock(),
    'ticket lock, all but the next in line wait in an array',
    'Dice, Kogan, Euro-Par 2019',
    '4',
    { fair: true },
  ),
  cna: exclusive(
    () => makeCnaLock(),
    'compact NUMA-aware MCS: waiters of other nodes step aside',
    'Dice, Kogan, EuroSys 2019',
    '5, inside the node but 1 in 256',
    { numaAware: true },
  ),
  cohort: exclusive(
    () => makeCohortLock(),
    'cohort lock C-TKT-MCS: a ticket lock over one MCS lock per node',
    'Dice, Marathe, Shavit, PPoPP 2012',
    '6, inside the node but 1 in 64',
    { numaAware: true },
  ),
  hclh: exclusive(
    () => makeHclhLock(),
    'hierarchical CLH: pieces of a queue per node',
    'Luchangco, Nussbaum, Shavit, Euro-Par 2006',
    '4 to 5, in part inside the node',
    { numaAware: true },
  ),
  hmcs: exclusive(
    () => makeHmcsLock(),
    'hierarchical MCS: a queue per node below a queue of nodes',
    'Chabbi, Fagan, Mellor-Crummey, PPoPP 2015',
    '5, inside the node but 1 in 64',
    { numaAware: true },
  ),
  mutex: exclusive(
    () => makeMutex(),
    "the kernel's mutex: spins while the owner runs, then sleeps; hand-off",
    'kernel/locking/mutex.c',
    '9 to 10; more and a wake-up per sleeper',
    { sleeps: true },
  ),
  'mutex-nospin': exclusive(
    () => makeMutex(sleepingMutexSteps, 'mutex-nospin'),
    "the kernel's mutex without optimistic spinning",
    'kernel/locking/mutex.c, CONFIG_MUTEX_SPIN_ON_OWNER=n',
    '4 and more, and a wake-up per sleeper',
    { sleeps: true },
  ),
  futex: exclusive(
    () => makeFutexMutex(),
    'user-space mutex over futex(2), three states',
    'Drepper, Futexes Are Tricky, 2011; kernel/futex/waitwake.c',
    '2; 10 and a wake-up per sleeper',
    { sleeps: true },
  ),
  rtmutex: exclusive(
    () => makeRtMutex(),
    'mutex by priority (low CPU numbers first), with inheritance',
    'kernel/locking/rtmutex.c',
    '6 and a wake-up',
    { sleeps: true },
  ),
  peterson: exclusive(
    () => makePetersonLock(),
    'loads, stores and fences, for two CPUs',
    'Peterson, IPL 1981; Kessels, Acta Informatica 1982',
    '2',
    { fair: true, queue: false },
  ),
  dekker: exclusive(
    () => makeDekkerLock(),
    'loads, stores and fences, for two CPUs',
    'Dijkstra, EWD 123, 1965',
    '3',
    { queue: false },
  ),
};
