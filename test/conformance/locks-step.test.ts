/** Every registered lock, some hundred interleavings each, one attempt at a time. */

import { describeLocks } from './lock-suite.ts';
import { stepConformance } from './step-adapter.ts';

describeLocks(stepConformance, {
  seeds: 30,
  cpuCounts: [2, 3, 5],
  rounds: 6,
  ordered: true,
  masksInHandlers: true,
});
