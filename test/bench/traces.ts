/**
 * Traces: text to accesses with their pages (what the reader thread does before a run), and whole
 * commands that run the repository's trace, from start to printed result. The trace is run often
 * enough that start and scan are a small part.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { packageRoot } from '../../src/base/package-root.ts';
import { scanTrace } from '../../src/trace/scan.ts';
import { recordsOf } from '../../src/trace/scanned-trace.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { timeRun } from './command-line.ts';
import { bareRate, cpuSeconds } from './stopwatch.ts';

const MILLION = 1e6;
const TRACE = fileURLToPath(new URL('workloads/traces/kernels.lackey.gz', packageRoot()));
const COPIES = 20;
const PASSES = 60;
const NEWLINE = 10;

async function decodeRate(): Promise<Measured> {
  const text = gunzipSync(readFileSync(TRACE));
  const folder = mkdtempSync(join(tmpdir(), 'numalab-bench-'));
  const path = join(folder, 'trace');
  writeFileSync(path, Buffer.concat(Array.from({ length: COPIES }, () => text)));
  try {
    let best = 0;
    let records = 0;
    for (let round = 0; round < 4; round++) {
      const start = cpuSeconds();
      records = recordsOf(await scanTrace([{ file: 'trace', path }], false));
      best = Math.max(best, records / (cpuSeconds() - start));
    }
    const perRecord = (text.length * COPIES) / records;
    const note = `${perRecord.toFixed(1)} bytes each`;
    return { value: best / MILLION, bound: bareBytes(text, perRecord) / MILLION, note };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Looks at as many bytes per record, for newlines. */
function bareBytes(text: Uint8Array, perRecord: number): number {
  return bareRate(5 * MILLION, (records) => {
    let lines = 0;
    let at = 0;
    for (let left = Math.round(records * perRecord); left > 0; left--) {
      if (text[at] === NEWLINE) lines++;
      if (++at === text.length) at = 0;
    }
    return lines;
  });
}

async function runRate(): Promise<Measured> {
  const words = ['run', 'trace', `input=${TRACE}`, `passes=${PASSES}`, '--json', '--quiet'];
  const { seconds, stdout } = await timeRun(words);
  const { counters } = JSON.parse(stdout) as { counters: Readonly<Record<string, number>> };
  const records = counters['operations']!;
  const share = (100 * counters['l1.hits']!) / counters['accesses']!;
  return {
    value: records / seconds / MILLION,
    bound: null,
    note: `${(records / MILLION).toFixed(1)} M records, ${share.toFixed(1)} % of data hits the L1D`,
  };
}

export const TRACE_BENCHMARKS: readonly Benchmark[] = [
  {
    name: 'trace.decode',
    description: 'lackey text from a file: decoded, checked, hashed, pages by first touch',
    boundIs: 'a loop over as many bytes that counts lines',
    unit: 'M records/s',
    goal: { of: 'value', atLeast: 3 },
    measure: decodeRate,
  },
  {
    name: 'trace.run',
    description: `numalab run trace, ${PASSES} passes of kernels.lackey.gz, start to result`,
    boundIs: 'none',
    unit: 'M records/s of wall clock',
    goal: { of: 'value', atLeast: 1 },
    measure: runRate,
  },
];
