/** Promise: `machine show` prints every number with its source, and what is not modelled. */

import { expect, it } from 'vitest';
import { loadMachine, machineNames } from '../../../src/machine/catalog.ts';
import { NOT_MODELLED, showMachine } from '../../../src/machine/show.ts';
import { parseUserMachine } from '../../../src/machine/user-file.ts';

it.each(machineNames())('shows every parameter of %s with source and confidence', (name) => {
  const machine = loadMachine(name);
  const lines = showMachine(machine).split('\n');
  for (const [parameter, { source, confidence }] of Object.entries(machine.provenance)) {
    const line = lines.find((each) => each.startsWith(`  ${parameter} `));
    expect(line, parameter).toContain(source);
    expect(line, parameter).toContain(confidence);
  }
  for (const words of NOT_MODELLED) expect(lines).toContain(`  ${words}`);
});

it('prints both derivations of X, L with its origin, and G', () => {
  const text = showMachine(loadMachine('graviton4_2p'));
  expect(text).toMatch(/L, least answer inside a node +25 ns, from caches\.llc\.latency/);
  expect(text).toMatch(/X, one way between sockets +46\.8 ns/);
  expect(text).toMatch(/by memory: .* 71\.26 ns/);
  expect(text).toMatch(/by transfers: .* 46\.8 ns/);
  expect(text).toMatch(/G, step of the grid +23\.4 ns/);
  expect(text).toMatch(/memory of another socket +256\.6 ns/);
});

it('draws boxes that close', () => {
  for (const name of machineNames()) {
    const drawn = showMachine(loadMachine(name))
      .split('\n')
      .filter((line) => /^ {2}[┌│└]/.test(line));
    expect(new Set(drawn.map((line) => line.length)).size, name).toBe(1);
    expect(drawn.join('')).toContain('node 0');
  }
});

it('says how nodes without CPUs or memory behave', () => {
  const text = "base: graviton4_2p\ntopology: { cpus: ['0-3', ''], memory: [0, 64G] }\n";
  const shown = showMachine(parseUserMachine('x.yaml', text));
  expect(shown).toContain('Node 0 has no memory: what it allocates comes from node 1');
  expect(shown).toContain('Node 1 has no CPUs: nothing runs there');
});
