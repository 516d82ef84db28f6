/** Every registered lock on the explore engine: random schedules under sc and tso. */

import { exploreConformance } from './explore-adapter.ts';
import { describeLocks } from './lock-suite.ts';

for (const model of ['sc', 'tso'] as const) {
  describeLocks(exploreConformance(model), {
    seeds: 3,
    cpuCounts: [2, 4],
    rounds: 6,
    ordered: true,
    masksInHandlers: true,
  });
}
