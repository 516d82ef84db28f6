/** Promises: ER-T3 (two derivations of X, extras restore the figures) and ER-T4 (closure). */

import { describe, expect, it } from 'vitest';
import { distancesOf } from '../../../src/machine/distances.ts';

function distances(memoryNs: number[][], transferNs: number[][], transferNodeNs: number) {
  const ps = (rows: number[][]) => Float64Array.from(rows.flat(), (ns) => Math.round(ns * 1000));
  return distancesOf({
    nodeCount: memoryNs.length,
    memoryPs: ps(memoryNs),
    transferPs: ps(transferNs),
    transferNodePs: transferNodeNs * 1000,
  });
}

const NONE = Number.NaN;

describe('distancesOf', () => {
  it('takes the smaller derivation: transfers on Graviton4', () => {
    const found = distances(
      [
        [114.08, 256.6],
        [256.6, 114.08],
      ],
      [
        [45, 138.6],
        [138.6, 45],
      ],
      45,
    );
    expect(found.hopPs[1]).toBe(46_800);
    expect(found.memoryExtraPs[1]).toBe(256_600 - 114_080 - 2 * 46_800);
    expect(found.transferExtraPs[1]).toBe(0);
  });

  it('takes the smaller derivation: memory on Cascade Lake', () => {
    const found = distances(
      [
        [84.2, 141.1],
        [141.1, 84.2],
      ],
      [
        [48, 141.4],
        [141.4, 48],
      ],
      48,
    );
    expect(found.hopPs[1]).toBe(28_450);
    expect(found.memoryExtraPs[1]).toBe(0);
    expect(found.transferExtraPs[1]).toBe(141_400 - 48_000 - 2 * 28_450);
  });

  it('takes the smaller direction of an unsymmetrical matrix, both ways alike', () => {
    const found = distances(
      [
        [95.4, 106.3],
        [103.5, 96.3],
      ],
      [
        [50, NONE],
        [NONE, 50],
      ],
      50,
    );
    expect(found.hopPs[1]).toBe(4050);
    expect(found.hopPs[2]).toBe(4050);
    expect(found.memoryExtraPs[1]).toBe(106_300 - 96_300 - 8100);
    expect(found.memoryExtraPs[2]).toBe(0);
    expect(found.transferExtraPs[1]).toBe(0);
  });

  it('leaves the odd picosecond to the extra', () => {
    const found = distances(
      [
        [100, 200.001],
        [200.001, 100],
      ],
      [
        [50, NONE],
        [NONE, 50],
      ],
      50,
    );
    expect(found.hopPs[1]).toBe(50_000);
    expect(found.memoryExtraPs[1]).toBe(1);
  });

  it('closes hops under shortest paths', () => {
    const memory = [
      [100, 120, 300],
      [120, 100, 120],
      [300, 120, 100],
    ];
    const unknown = memory.map((row) => row.map(() => NONE));
    const found = distances(memory, unknown, 50);
    expect(found.hopPs[2]).toBe(20_000);
    expect(found.memoryExtraPs[2]).toBe(200_000 - 40_000);
    expect(found.leastHopPs).toBe(10_000);
  });

  it('has no hops on one node', () => {
    const found = distances([[100]], [[NONE]], 50);
    expect([...found.hopPs]).toEqual([0]);
    expect(found.leastHopPs).toBe(Number.POSITIVE_INFINITY);
  });
});
