/** Promise: ER-T5, the grid belongs to the machine and fits whole windows into the meeting hop. */

import { describe, expect, it } from 'vitest';
import { gridPs, leastAnswer } from '../../../src/machine/lookahead.ts';

const APART = Int32Array.of(0, 1);

function twoNodes(lookaheadPs: number, hopPs: number, sockets = APART): number {
  return gridPs(lookaheadPs, Float64Array.of(0, hopPs, hopPs, 0), sockets);
}

describe('gridPs', () => {
  it('is L on one node', () => {
    expect(gridPs(25_000, Float64Array.of(0), Int32Array.of(0))).toBe(25_000);
  });

  it.each([
    ['X = 71 of the prototype: three windows', 25_000, 71_000, 23_666],
    ['Graviton4: two windows', 25_000, 46_800, 23_400],
    ['X a multiple of L', 25_000, 50_000, 25_000],
    ['X equal to L', 25_000, 25_000, 25_000],
    ['X below L', 18_000, 4_000, 4_000],
  ])('%s', (_, lookahead, hop, expected) => {
    expect(twoNodes(lookahead, hop)).toBe(expected);
  });

  it('meets at the hop between sockets, steps by the hop between dies', () => {
    const near = 22_400;
    const far = 67_000;
    const hops = [0, near, far, far, near, 0, far, far, far, far, 0, near, far, far, near, 0];
    const sockets = Int32Array.of(0, 0, 1, 1);
    expect(gridPs(34_615, Float64Array.from(hops), sockets)).toBe(Math.floor(far / 3));
  });

  it('is the least hop when all nodes are in one socket', () => {
    expect(twoNodes(25_000, 20_000, Int32Array.of(0, 0))).toBe(20_000);
  });
});

describe('leastAnswer', () => {
  it('names the parameter that L comes from', () => {
    const answers = [
      { parameter: 'caches.llc.latency', ps: 33 },
      { parameter: 'latency.transferCluster', ps: 30 },
      { parameter: 'dvm.ack', ps: 33 },
    ];
    expect(leastAnswer(answers)).toEqual({ parameter: 'latency.transferCluster', ps: 30 });
  });
});
