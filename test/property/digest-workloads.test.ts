/**
 * Every workload gives one digest on 1, 2, 4 and per-cpu worker threads, with all checks on and
 * off, on machines of one, two and four nodes. The runs are those whose digests test/golden pins.
 */

import { describe, expect, it } from 'vitest';
import { digestOfRun, GOLDEN_RUNS } from '../golden/runs.ts';

describe('a workload gives one digest on any number of threads', () => {
  for (const golden of GOLDEN_RUNS) {
    it(`numalab run ${golden.command}`, async () => {
      const alone = await digestOfRun(golden, '1', true);
      for (const threads of differentThreads(Number(golden.cpus))) {
        // One of them with the order witness and the checkers on its threads.
        const digest = await digestOfRun(golden, threads, threads === '2');
        expect(digest, `${threads} threads`).toBe(alone);
      }
    });
  }
});

/** As many workers as CPUs is per-cpu, whatever it is called. */
function differentThreads(cpus: number): readonly ('2' | '4' | 'per-cpu')[] {
  if (cpus <= 2) return ['per-cpu'];
  return cpus === 4 ? ['2', 'per-cpu'] : ['2', '4', 'per-cpu'];
}
