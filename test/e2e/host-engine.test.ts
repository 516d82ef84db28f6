/**
 * The host engine from the command line: latencies that say whose clock they are of, a soak by
 * --time, a deadlock, Ctrl-C without a thread left (the process could not end otherwise).
 */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runResultSchema } from '../../src/metrics/result-schema.ts';
import { fixture, numalab } from './numalab.ts';
import { lockFolder } from './user-locks.ts';

const LABEL =
  'host wall clock; Atomics are sequentially consistent, missing barriers cannot show here';
const SMALL = ['lock_contention', '-c', '3', '--engine', 'host', 'acquisitions=50', '--quiet'];

describe('run --engine host', () => {
  it('prints a result without digest and emulated time', async () => {
    const { code, stdout } = await numalab(['run', ...SMALL, '--json']);
    expect(code).toBe(0);
    const result = runResultSchema.parse(JSON.parse(stdout));
    expect([result.engine, result.digest, result.emulatedNs]).toEqual(['host', null, null]);
    expect(result.wallNs).toBeGreaterThan(0);
    expect(result.report[0]).toBe(LABEL);
    expect(result.report[1]).toMatch(/^3 threads, (not )?pinned/);
    expect(result.histograms['lock.wait']!.count).toBeGreaterThan(0);
    expect(result.checks).toMatchObject([{ name: 'exclusion', ok: true }]);
  });

  it('runs stage-2 faults, and seed after seed until the time is over', async () => {
    const words = ['run', 'dirty_log_perf_test', 'b=64K', '-c', '3', '--engine', 'host'];
    const { code, stdout } = await numalab([...words, '--time', '1s', '--quiet']);
    expect(code).toBe(0);
    expect(stdout).toContain(LABEL);
    expect(stdout).toMatch(/Iteration 2 dirty memory time/);
    expect(stdout).toMatch(/of wall clock, seed 1(-\d+)?\n/);
    expect(stdout).not.toMatch(/emulated|estimates/);
  });

  it('ends at Ctrl-C', async () => {
    const words = ['run', ...SMALL, '--time', '40s'];
    const { code, ms } = await numalab(words, { interruptAfterMs: 2_500 });
    expect(code).toBe(130);
    expect(ms).toBeLessThan(8_000);
  });

  it('reports a thread that dies in one line', async () => {
    const words = ['run', fixture('host-dies'), '-c', '2', '--engine', 'host', '--quiet'];
    const { code, stderr } = await numalab(words);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^numalab: bug: the worker thread of cpu 0 died: exit code 5\n/);
  });
});

describe('stress --engine host', () => {
  const words = (...rest: string[]) => ['stress', ...rest, '--engine', 'host'];

  it("prints locktorture's line and what it cannot show", async () => {
    const { code, stdout } = await numalab(words('ticket', '--time', '500ms', '-c', '2'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ticket: 2 CPUs, 200 operations each, host, seed 1\n/);
    expect(stdout).toContain(LABEL);
    expect(stdout).toMatch(/\nWrites: {2}Total: \d+ {2}Max\/Min: \d+\/\d+ {3}Fail: 0\npassed: /);
  });

  it('ends with 2 when two hold the lock, and says where to look for a schedule', async () => {
    const { code, stdout } = await numalab(words('tas', 'mutant=M01'));
    expect(code).toBe(2);
    expect(stdout).toMatch(/Fail: \d+ !!!\n[a-z-]+: /);
    expect(stdout).toMatch(/look for a schedule: numalab stress .*mutant=M01\n/);
  });

  it("takes a user's lock, and finds one that two can hold", async () => {
    const folder = lockFolder();
    const good = await numalab(words(join(folder, 'tas.mjs'), '--time', '500ms', '-c', '2'));
    expect([good.code, good.stderr]).toEqual([0, '']);
    expect(good.stdout).toMatch(/Fail: 0\npassed: /);
    const bad = await numalab(words(join(folder, 'broken.mjs'), '--time', '2s', '-c', '2'));
    expect(bad.stderr).toBe('');
    // Two threads may miss each other on a busy host; then it has passed, and says so.
    expect(bad.stdout).toMatch(bad.code === 2 ? /Fail: \d+ !!!/ : /\npassed: /);
  });

  it('refuses what only schedules have', async () => {
    const { code, stderr } = await numalab(words('tas', '--strategy', 'pct'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^numalab: --strategy: the host engine chooses no schedules/);
  });
});
