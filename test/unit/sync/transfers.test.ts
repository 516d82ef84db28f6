/**
 * Line transfers as the files of the locks claim them, counted on the virtual engine: what some
 * hundred more reads or hand-overs per CPU cost, so that beginnings and ends don't count. Of
 * hand-overs, every line counts that a CPU received, wherever it came from.
 */

import { expect, it } from 'vitest';
import {
  type HandOverFigures,
  handOverFigures,
  transfersPerRead,
} from '../../support/lock-transfers.ts';
import { makeTestMachine } from '../../support/test-machine.ts';
import type { ScenarioPlace } from '../../support/virtual-scenario.ts';

const CPUS = 8;
const ROUNDS = 200;
/** More hand-overs per CPU. */
const MORE = 100;

function checkedPlace(cpuCount: number): ScenarioPlace {
  return {
    machine: makeTestMachine({ cpuCount, nodeCount: 2 }),
    cpus: Array.from({ length: cpuCount }, (_, cpu) => cpu),
    debug: { witness: true, shuffle: 2, translations: true, repeats: true },
  };
}

function perRead(lock: string): number {
  return transfersPerRead(lock, ROUNDS, checkedPlace(CPUS));
}

function perHandOver(lock: string, cpuCount: number): HandOverFigures {
  return handOverFigures(lock, MORE, checkedPlace(cpuCount));
}

it.each(['bravo-qrwlock', 'percpu-rwsem'])('%s: readers move no line', (lock) => {
  expect(perRead(lock)).toBe(0);
});

it.each(['simple-rwlock', 'qrwlock', 'rwsem'])('%s: two per read', (lock) => {
  const each = perRead(lock);
  expect(each).toBeGreaterThan(1.5);
  expect(each).toBeLessThanOrEqual(2);
});

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
])('%s: %d to %d per hand-over, however many wait', (lock, least, most) => {
  for (const cpuCount of [6, 16]) {
    const { lines } = perHandOver(lock, cpuCount);
    expect(lines, `${cpuCount} CPUs`).toBeGreaterThanOrEqual(least - 0.05);
    expect(lines, `${cpuCount} CPUs`).toBeLessThanOrEqual(most + 0.05);
  }
});

it('ticket: grows with the number of waiters, up to 2n', () => {
  for (const cpuCount of [6, 16]) {
    const { lines } = perHandOver('ticket', cpuCount);
    expect(lines).toBeGreaterThan(1.4 * cpuCount);
    expect(lines).toBeLessThan(2 * cpuCount);
  }
});

it.each(['cna', 'cohort', 'hmcs'])('%s: hand-overs stay inside a node', (lock) => {
  expect(perHandOver(lock, 16).remoteLines).toBeLessThan(0.1);
  expect(perHandOver('mcs', 16).remoteLines).toBeGreaterThan(1);
});

it.each([
  ['peterson', 2],
  ['dekker', 3],
])('%s: %d per hand-over between its two CPUs', (lock, lines) => {
  expect(Math.abs(perHandOver(lock, 2).lines - lines)).toBeLessThan(0.3);
});
