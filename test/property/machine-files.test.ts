/**
 * Promise: whatever a machine file says, it is a machine that the engine's proofs hold for, or one
 * line that is the user's. Bundled profiles are the start; some of their values are replaced.
 */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UserError } from '../../src/base/errors.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { parseUserMachine } from '../../src/machine/user-file.ts';

const NAMES = ['graviton4_2p', 'kunpeng920_2p_128', 'xeon_spr_2p', 'stingray_a72_8c'];
const TEXTS = NAMES.map((name) => readFileSync(`src/machine/profiles/${name}.json`, 'utf8'));

type Tree = Record<string, unknown>;

/** Paths of all values in full. */
function paths(tree: Tree, above: readonly string[] = []): string[][] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = [...above, key];
    if (typeof value !== 'object' || value === null) return [];
    return 'value' in value ? [path] : paths(value as Tree, path);
  });
}

function replace(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const key of path.slice(0, -1)) node = node[key] as Tree;
  const last = path.at(-1)!;
  if (value === undefined) delete node[last];
  else node[last] = value;
}

const replacement = fc.oneof(
  fc.integer({ min: -5, max: 300 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: 1, max: 1_000_000_000 }),
  fc.constantFrom('64K', '5 cycles', '', 'near', 'on', '0-3', null, true, undefined, [], {}),
  fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  fc.array(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 4 }), { maxLength: 4 }),
  fc.string({ maxLength: 12 }),
);

function checkProofs(machine: Machine): void {
  const { nodeCount, hopPs } = machine;
  expect(machine.gridPs).toBeGreaterThan(0);
  expect(machine.gridPs).toBeLessThanOrEqual(machine.lookaheadPs);
  expect(machine.gridPs).toBeLessThanOrEqual(machine.leastHopPs);
  for (const extra of [...machine.memoryExtraPs, ...machine.transferExtraPs]) {
    expect(extra).toBeGreaterThanOrEqual(0);
  }
  for (let at = 0; at < nodeCount * nodeCount; at++) {
    const from = Math.floor(at / nodeCount);
    const to = at % nodeCount;
    expect(hopPs[at]).toBe(hopPs[to * nodeCount + from]);
    if (from !== to) expect(hopPs[at]).toBeGreaterThan(0);
  }
  const times = [...machine.dramPsOfNode, ...machine.costsPs, machine.llc.latencyPs];
  for (const ps of times) expect(Number.isSafeInteger(ps)).toBe(true);
  expect(machine.cpuCount).toBeLessThanOrEqual(1024);
}

it('a file with strange values is a sound machine or one line of complaint', () => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.nat(NAMES.length - 1),
      fc.array(fc.tuple(fc.nat(), replacement), { minLength: 1, maxLength: 3 }),
      (which, changes) => {
        const tree = JSON.parse(TEXTS[which]!) as Tree;
        const places = paths(tree);
        for (const [at, value] of changes) replace(tree, places[at % places.length]!, value);
        try {
          checkProofs(parseUserMachine('x.json', JSON.stringify(tree)));
          accepted++;
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^x\.json:\d+:\d+: [^\n]+; would be right: [^\n]+$/);
          refused++;
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(accepted).toBeGreaterThan(10);
  expect(refused).toBeGreaterThan(10);
});
