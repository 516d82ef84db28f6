/**
 * Promise: machines are found by name, with dashes or underscores, and a wrong name gets a hint.
 */

import { expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { loadMachine, machineNames, machineSummary } from '../../../src/machine/catalog.ts';

it('accepts dashes for underscores', () => {
  expect(loadMachine('ampere-altra-1p-q80')).toEqual(loadMachine('ampere_altra_1p_q80'));
});

it('says what was meant', () => {
  expect(() => loadMachine('graviton5_2p')).toThrow(UserError);
  expect(() => loadMachine('gravitn4-2p')).toThrow(/did you mean 'graviton4_2p'\?/);
  expect(() => loadMachine('')).toThrow(/unknown machine ''/);
  expect(() => loadMachine('x\n\x1b[31m'.repeat(99))).toThrow(/^unknown machine '[ -~]{60}'/);
});

it('lists every machine with one line', () => {
  const summary = machineSummary();
  expect(summary.map(({ name }) => name)).toEqual(machineNames());
  for (const { description, cpus, nodes } of summary) {
    expect(description).toMatch(/^[^\n]{10,110}$/);
    expect(cpus).toBeGreaterThan(0);
    expect(nodes).toBeGreaterThan(0);
  }
});
