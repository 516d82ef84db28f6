/** Locks on real threads: pure counts, so that exclusion is exact. Needs the compiled workers. */

import { hostConformance } from './host-adapter.ts';
import { describeLocks } from './lock-suite.ts';

describeLocks(hostConformance, {
  locks: [
    ...['ticket', 'mcs', 'qspinlock', 'qrwlock', 'rwsem'],
    ...['simple-rwlock', 'percpu-rwsem', 'bravo-qrwlock', 'seqlock'],
    ...['anderson', 'k42', 'hemlock', 'twa', 'cna', 'cohort', 'hclh', 'hmcs'],
    ...['mutex', 'mutex-nospin', 'futex', 'rtmutex', 'peterson', 'dekker'],
  ],
  seeds: 1,
  cpuCounts: [2, 4],
  rounds: 100,
  mayMiss: true,
  ordered: false,
  masksInHandlers: true,
});
