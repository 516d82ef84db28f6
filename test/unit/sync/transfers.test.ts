/**
 * Line transfers of readers as the files of the locks claim them, counted on the virtual engine:
 * what 200 more reads per CPU cost when nobody writes, so that beginnings don't count.
 */

import { expect, it } from 'vitest';
import { Counter } from '../../../src/metrics/definition.ts';
import { virtualConformance } from '../../conformance/virtual-adapter.ts';

const CPUS = 8;
const ROUNDS = 200;

async function transfers(lock: string, rounds: number): Promise<number> {
  const outcome = await virtualConformance.run('onlyReaders', { lock, cpuCount: CPUS, rounds }, 1);
  return outcome.counter(Counter.LocalTransfers) + outcome.counter(Counter.RemoteTransfers);
}

async function transfersPerRead(lock: string): Promise<number> {
  const some = await transfers(lock, ROUNDS);
  return ((await transfers(lock, 2 * ROUNDS)) - some) / (ROUNDS * CPUS);
}

it.each(['bravo-qrwlock', 'percpu-rwsem'])('%s: readers move no line', async (lock) => {
  expect(await transfersPerRead(lock)).toBe(0);
});

it.each(['simple-rwlock', 'qrwlock'])('%s: two per read', async (lock) => {
  const each = await transfersPerRead(lock);
  expect(each).toBeGreaterThan(1.5);
  expect(each).toBeLessThanOrEqual(2);
});
