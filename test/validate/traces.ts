/**
 * The repository's trace on several machines, beside a plain model of one CPU's caches: every hit
 * and every miss must be there. (That walks and other CPUs don't disturb is the trace's doing: its
 * pages fit the L2 and it has one CPU.)
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { packageRoot } from '../../src/base/package-root.ts';
import { loadMachine } from '../../src/machine/catalog.ts';
import { runPlainCaches } from '../support/plain-caches.ts';
import { emulate, inParallel } from './emulate.ts';
import { comesBack, type Row, ratioOf } from './row.ts';
import type { Table } from './table.ts';

/** L1D of 64 KiB with 4 ways, of 32 KiB with 2, and of 32 KiB with 8. */
const MACHINES = ['graviton4_2p', 'stingray_a72_8c', 'xeon_skylake_6140_2p'];
const TRACE = fileURLToPath(new URL('workloads/traces/kernels.lackey.gz', packageRoot()));

export async function traceHits(): Promise<readonly Row[]> {
  const text = gunzipSync(readFileSync(TRACE)).toString('latin1');
  const rows = await inParallel(MACHINES, async (machine) => {
    const model = runPlainCaches(loadMachine(machine), text);
    const result = await emulate(['trace', `input=${TRACE}`, '-m', machine]);
    const row = (name: string, published: number, counter: string): Row => ({
      name: `trace.kernels.${name}.${machine}`,
      unit: 'accesses',
      published,
      emulated: result.counters[counter] ?? 0,
      machineHash: result.machineHash,
      kind: 'figure',
      note: 'the plain model',
    });
    return [
      row('l1Hits', model.l1, 'l1.hits'),
      row('l2Hits', model.l2, 'l2.hits'),
      row('misses', model.misses, 'cache.misses'),
      row('fetches', model.fetches, 'instructions.fetched'),
    ];
  });
  return rows.flat();
}

export function traceTable(rows: readonly Row[]): Table {
  const back = rows.filter((row) => comesBack(row) === true).length;
  return {
    title: 'A trace beside a plain model of caches',
    lines: [
      'numalab run trace input=workloads/traces/kernels.lackey.gz against lists of lines in LRU',
      `order (test/support/plain-caches.ts): ${back} of ${rows.length} counts within 5 %.`,
    ],
    header: ['count', 'model', 'emulated', 'ratio', 'machine'],
    rows: rows.map((row) => [
      row.name,
      String(row.published),
      String(row.emulated),
      ratioOf(row).toFixed(4),
      row.machineHash.slice(0, 12),
    ]),
  };
}
