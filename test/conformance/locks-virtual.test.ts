/** Every registered lock under emulated time, where caches and homes order the accesses. */

import { describeLocks } from './lock-suite.ts';
import { virtualConformance } from './virtual-adapter.ts';

describeLocks(virtualConformance, {
  seeds: 4,
  cpuCounts: [2, 5, 8],
  rounds: 20,
  ordered: true,
  // The engine does not mask interrupts when it takes one: handlers of a lock nest and deadlock.
  masksInHandlers: true,
});
