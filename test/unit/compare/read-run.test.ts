/**
 * Promise: what a run wrote is read back whole; a wrong path or a damaged file is one clear line.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { compareRuns } from '../../../src/compare/comparison.ts';
import { isRunPath, readRun } from '../../../src/compare/read-run.ts';
import { runFiles } from '../../../src/metrics/run-files.ts';
import { sampleResult, sampleSeed } from '../metrics/sample-result.ts';

const seeds = [sampleSeed(5, 1), sampleSeed(6, 1)];
const result = sampleResult(seeds, 'c'.repeat(64));
let root = '';

async function write(name: string, change: (file: string, text: string) => string | null) {
  const directory = join(root, name);
  await mkdir(directory);
  for (const file of await runFiles(result, seeds)) {
    const text = change(file.name, file.text);
    if (text !== null) await writeFile(join(directory, file.name), text);
  }
  return directory;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'numalab-read-run-'));
});
afterAll(() => rm(root, { recursive: true }));

async function refusal(path: string): Promise<string> {
  const error = await readRun(path).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).not.toContain('\n');
  return (error as Error).message;
}

describe('runs from files', () => {
  it('a written directory compares as identical to the run in memory', async () => {
    const read = await readRun(await write('whole', (_, text) => text));
    expect(read.result).toEqual(result);
    expect(read.seeds.map(({ seed, emulatedNs }) => [seed, emulatedNs])).toEqual(
      seeds.map(({ seed, emulatedNs }) => [seed, emulatedNs]),
    );
    const [ratio] = compareRuns([{ label: 'memory', result, seeds }, read]).ratios;
    expect(ratio!.identical).toBe(true);
    expect(ratio!.metrics['fault.service']!.p99!.geometricMean).toBe(1);
  });

  it('an .hlog alone gives the same percentiles per seed', async () => {
    const directory = await write('log', (_, text) => text);
    const read = await readRun(join(directory, 'latency.hlog'));
    expect(read.result).toBeNull();
    const [ratio] = compareRuns([{ label: 'memory', result: null, seeds }, read]).ratios;
    expect(ratio!.identical).toBe(true);
    expect(ratio!.metrics['fault.service']!.max!.geometricMean).toBe(1);
  });

  it('says in one line what is missing or damaged, and where', async () => {
    expect(await refusal(join(root, 'nowhere'))).toMatch(/nowhere: no such file or directory/);
    const cut = await write('cut', (file, text) =>
      file.endsWith('.hlog') ? text.slice(0, text.length / 2) : text,
    );
    expect(await refusal(cut)).toMatch(/cut\/latency\.hlog:\d+: /);
    const noLog = await write('no-log', (file, text) => (file.endsWith('.hlog') ? null : text));
    expect(await refusal(noLog)).toMatch(/no-log: 0 \.hlog files/);
    const noResult = await write('no-result', (file, text) =>
      file.endsWith('.json') ? null : text,
    );
    expect(await refusal(noResult)).toMatch(/no-result: no result\.json in it/);
    const torn = await write('torn', (file, text) =>
      file.endsWith('.json') ? text.slice(0, -20) : text,
    );
    expect(await refusal(torn)).toMatch(/torn\/result\.json: damaged JSON/);
    const other = await write('other', (file, text) =>
      file.endsWith('.json') ? text.replace('numalab-run-1', 'numalab-run-9') : text,
    );
    expect(await refusal(other)).toMatch(
      /other\/result\.json: not a result of this version: schema/,
    );
    const mixed = await write('mixed', (file, text) =>
      file.endsWith('.json') ? text.replace('"seed": 6', '"seed": 9') : text,
    );
    expect(await refusal(mixed)).toMatch(/mixed: seed 6 is in the \.hlog but not in result\.json/);
    expect(await refusal(join(noLog, 'result.json'))).toMatch(/not an \.hlog/);
  });

  it('tells paths from workloads', () => {
    expect(['./a', 'a/b', '.', 'x.hlog', 'r.json'].every(isRunPath)).toBe(true);
    expect(['dirty_log_perf_test', 'faults=parallel'].some(isRunPath)).toBe(false);
  });
});
