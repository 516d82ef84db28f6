/**
 * Line transfers as the files of the locks claim them, counted on the virtual engine: what some
 * hundred more reads or hand-overs per CPU cost, so that beginnings and ends don't count. Of
 * hand-overs, every line counts that a CPU received, wherever it came from.
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

/** More hand-overs per CPU. */
const MORE = 100;

interface PerHandOver {
  readonly lines: number;
  /** Lines from the other node. */
  readonly remote: number;
}

async function handOvers(lock: string, cpuCount: number, rounds: number): Promise<PerHandOver> {
  const outcome = await virtualConformance.run('handOvers', { lock, cpuCount, rounds }, 1);
  const sum = (...counters: number[]): number =>
    counters.reduce((all, counter) => all + outcome.counter(counter), 0);
  return {
    lines: sum(Counter.Misses) - sum(Counter.Upgrades),
    remote: sum(Counter.RemoteTransfers, Counter.RemoteDram),
  };
}

async function perHandOver(lock: string, cpuCount: number): Promise<PerHandOver> {
  const some = await handOvers(lock, cpuCount, MORE);
  const more = await handOvers(lock, cpuCount, 2 * MORE);
  const count = MORE * cpuCount;
  return { lines: (more.lines - some.lines) / count, remote: (more.remote - some.remote) / count };
}

it.each([
  ['mcs', 5, 5],
  ['clh', 4, 4],
  ['qspinlock', 7, 9],
  ['anderson', 4, 5],
  ['k42', 6, 7],
  ['hemlock', 3, 3.2],
  ['twa', 4, 4.2],
  ['hclh', 4, 5],
  ['cna', 5, 5.2],
  ['cohort', 6, 6.2],
  ['hmcs', 5, 5.2],
])('%s: %d to %d per hand-over, however many wait', async (lock, least, most) => {
  for (const cpuCount of [6, 16]) {
    const { lines } = await perHandOver(lock, cpuCount);
    expect(lines, `${cpuCount} CPUs`).toBeGreaterThanOrEqual(least - 0.05);
    expect(lines, `${cpuCount} CPUs`).toBeLessThanOrEqual(most + 0.05);
  }
});

it('ticket: grows with the number of waiters, up to 2n', async () => {
  for (const cpuCount of [6, 16]) {
    const { lines } = await perHandOver('ticket', cpuCount);
    expect(lines).toBeGreaterThan(1.4 * cpuCount);
    expect(lines).toBeLessThan(2 * cpuCount);
  }
});

it.each(['cna', 'cohort', 'hmcs'])('%s: hand-overs stay inside a node', async (lock) => {
  expect((await perHandOver(lock, 16)).remote).toBeLessThan(0.1);
  expect((await perHandOver('mcs', 16)).remote).toBeGreaterThan(1);
});

it.each([
  ['peterson', 2],
  ['dekker', 3],
])('%s: %d per hand-over between its two CPUs', async (lock, lines) => {
  expect(Math.abs((await perHandOver(lock, 2)).lines - lines)).toBeLessThan(0.3);
});
