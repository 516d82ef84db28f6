/**
 * Promise: a machine with a node without CPUs and one without memory ends its stage-2 faults. A
 * permission fault that is taken again and again, because what relaxes it never reaches the vCPU,
 * would be reported as no progress; here each page faults once per phase, and the checkers agree.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunResult } from '../../src/metrics/result.ts';
import { numalab } from './numalab.ts';

const MACHINE = `
name: odd
base: graviton4_2p
topology:
  cpus: ['0-3', '4-7', '']
  sockets: [0, 1, 1]
  memory: [4G, 0, 4G]
latency: { dramCrossDie: 170, transferCrossDie: 80 }
bandwidth: { crossDie: 100GB/s }
`;
const PAGES = 4 * 256;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'numalab-'));
  writeFileSync(join(folder, 'odd.yaml'), MACHINE);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each([
  ['1', []],
  ['5', ['faults=exclusive']],
  ['6', ['faults=parallel', 'relaxTlbi=broadcast', 'writeProtect=lockless']],
  ['7', ['--like', 'v6.0']],
])('seed %s %o', async (seed, options) => {
  const words = ['run', 'dirty_log_perf_test', '-m', 'odd.yaml', 'v=4', 'b=1M'];
  const more = ['placement=spread', ...options, '-s', seed, '--check', '--quiet', '--json'];
  const outcome = await numalab([...words, ...more], { cwd: folder });
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  const { counters, stall } = JSON.parse(outcome.stdout) as RunResult;
  expect(stall).toBeUndefined();
  expect(counters['fault.mapped']).toBe(PAGES);
  // Faults that another vCPU has made needless, or that lost a race for a table: a few.
  expect(counters['fault.relaxed']).toBeGreaterThanOrEqual(PAGES);
  expect(counters['fault.count']).toBeLessThan(4 * PAGES);
});
