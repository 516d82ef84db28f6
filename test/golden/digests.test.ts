/**
 * Pinned digests: emulated results of small runs of every workload do not move unnoticed. Where a
 * change of timing or of kernel code is meant, `npm run golden` writes the new ones, and the commit
 * says why.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { workloadNames } from '../../workloads/registry.ts';
import { digestOfRun, GOLDEN_RUNS } from './runs.ts';

const file = new URL('digests.json', import.meta.url);
const pinned = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;

describe('pinned digests', () => {
  it('cover every workload, and nothing else is in the file', () => {
    const covered = new Set(GOLDEN_RUNS.map(({ workload }) => workload));
    expect([...covered].sort()).toEqual([...workloadNames()].sort());
    expect(Object.keys(pinned)).toEqual(GOLDEN_RUNS.map(({ command }) => command));
  });

  for (const golden of GOLDEN_RUNS) {
    it(`numalab run ${golden.command}`, async () => {
      expect(await digestOfRun(golden, '1')).toBe(pinned[golden.command]);
    });
  }
});
