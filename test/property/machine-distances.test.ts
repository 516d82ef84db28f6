/**
 * Promise: for any latency figures with remote above local, X is the largest metric below both
 * derivations (ER-T3, ER-T4), and the figures come out again exactly. The reference is a search
 * over all simple paths.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { distancesOf, type NodeLatencies } from '../../src/machine/distances.ts';
import { gridPs } from '../../src/machine/lookahead.ts';

const latencies: fc.Arbitrary<NodeLatencies> = fc.integer({ min: 1, max: 5 }).chain((nodeCount) =>
  fc
    .record({
      local: fc.array(fc.integer({ min: 50_000, max: 200_000 }), { minLength: 5, maxLength: 5 }),
      more: fc.array(fc.integer({ min: 2, max: 300_000 }), { minLength: 25, maxLength: 25 }),
      transfers: fc.array(fc.option(fc.integer({ min: 2, max: 300_000 })), {
        minLength: 25,
        maxLength: 25,
      }),
      transferNodePs: fc.integer({ min: 20_000, max: 80_000 }),
    })
    .map(({ local, more, transfers, transferNodePs }) => {
      const memoryPs = new Float64Array(nodeCount * nodeCount);
      const transferPs = new Float64Array(nodeCount * nodeCount);
      for (let from = 0; from < nodeCount; from++) {
        for (let to = 0; to < nodeCount; to++) {
          const at = from * nodeCount + to;
          const extra = transfers[at];
          memoryPs[at] = local[to]! + (from === to ? 0 : more[at]!);
          transferPs[at] = extra === null ? Number.NaN : transferNodePs + extra!;
        }
      }
      return { nodeCount, memoryPs, transferPs, transferNodePs };
    }),
);

/** Least sum over all simple paths, by depth-first search. */
function shortest(direct: number[][], from: number, to: number, seen: Set<number>): number {
  if (from === to) return 0;
  let best = Number.POSITIVE_INFINITY;
  direct[from]!.forEach((hop, next) => {
    if (next === from || seen.has(next)) return;
    best = Math.min(best, hop + shortest(direct, next, to, new Set([...seen, next])));
  });
  return best;
}

function directHop(given: NodeLatencies, a: number, b: number): number {
  const { nodeCount, memoryPs, transferPs, transferNodePs } = given;
  const least = [
    [a, b],
    [b, a],
  ].flatMap(([from, to]) => {
    const at = from! * nodeCount + to!;
    const memory = (memoryPs[at]! - memoryPs[to! * nodeCount + to!]!) / 2;
    const transfer = (transferPs[at]! - transferNodePs) / 2;
    return Number.isNaN(transfer) ? [memory] : [memory, transfer];
  });
  return Math.floor(Math.min(...least));
}

it('X is the shortest path over the smaller derivation, and figures come out exactly', () => {
  fc.assert(
    fc.property(latencies, (given) => {
      const { nodeCount } = given;
      const found = distancesOf(given);
      const nodes = Array.from({ length: nodeCount }, (_, node) => node);
      const direct = nodes.map((a) => nodes.map((b) => (a === b ? 0 : directHop(given, a, b))));
      for (const from of nodes) {
        for (const to of nodes) {
          const at = from * nodeCount + to;
          expect(found.hopPs[at]).toBe(shortest(direct, from, to, new Set([from])));
          const way = 2 * found.hopPs[at]!;
          const local = given.memoryPs[to * nodeCount + to]!;
          expect(local + way + found.memoryExtraPs[at]!).toBe(given.memoryPs[at]);
          if (from === to || Number.isNaN(given.transferPs[at])) continue;
          const sum = given.transferNodePs + way + found.transferExtraPs[at]!;
          expect(sum).toBe(given.transferPs[at]);
        }
      }
    }),
    { numRuns: 300 },
  );
});

it('the grid is never above L or a hop', () => {
  fc.assert(
    fc.property(latencies, fc.integer({ min: 1000, max: 60_000 }), (given, lookaheadPs) => {
      const { hopPs, leastHopPs } = distancesOf(given);
      const sockets = Int32Array.from({ length: given.nodeCount }, (_, node) => node >> 1);
      const grid = gridPs(lookaheadPs, hopPs, sockets);
      expect(grid).toBeLessThanOrEqual(lookaheadPs);
      expect(grid).toBeLessThanOrEqual(leastHopPs);
      expect(grid).toBeGreaterThan(0);
    }),
    { numRuns: 300 },
  );
});
