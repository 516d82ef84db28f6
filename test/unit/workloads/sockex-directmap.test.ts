/**
 * Promises: with module_alloc the direct map loses large leaves to small ones, where the seed says,
 * and its lines always add up to the memory; where programs share packs they stay as they are; what
 * cannot be is refused in one line.
 */

import { describe, expect, it } from 'vitest';
import { agedPages } from '../../../workloads/common/aged-memory.ts';
import { sockexDirectmap } from '../../../workloads/sockex_directmap.ts';
import { runVirtually } from './virtual-harness.ts';

/** kB in 4K, 2M and 1G leaves, by line. */
function lines(report: string): number[][] {
  return report
    .split('\n')
    .filter((line) => /^(boot|\d+) /.test(line))
    .map((line) => line.split(/ +/).slice(1, 4).map(Number));
}

describe('sockex_directmap', () => {
  it('splits leaves with module_alloc, step by step, and never joins them', () => {
    const { report, facts } = runVirtually(sockexDirectmap, 'steps=8,24 memory=4G -c2');
    const steps = lines(report);
    expect(steps).toHaveLength(3);
    for (const step of steps) expect(step.reduce((a, b) => a + b, 0)).toBe(4 * 2 ** 20);
    expect(steps[1]![0]).toBeGreaterThan(steps[0]![0]!);
    expect(steps[2]![0]).toBeGreaterThan(steps[1]![0]!);
    // 72 pages in runs of eight: nine blocks of 2 MiB.
    expect(steps[2]![0]! - steps[0]![0]!).toBe(9 * 2048);
    // And one for the program that is loaded before the first line.
    expect(facts.counters['directMap.splits']).toBe(10);
  });

  it('leaves it alone with packs', () => {
    const words = 'steps=8,24 memory=2G allocator=prog_pack -c1';
    const { report } = runVirtually(sockexDirectmap, words);
    const [boot, ...steps] = lines(report);
    for (const step of steps) expect(step).toEqual(boot);
  });

  it('gives out every page of an aged buddy once, in an order that the seed moves', () => {
    const pages = agedPages(1, 10, 4096, 6144);
    expect(new Set(pages).size).toBe(6144);
    expect(Math.min(...pages)).toBeGreaterThanOrEqual(4096);
    expect(agedPages(2, 10, 4096, 6144)).not.toEqual(pages);
    // The published ladder: 183, 389 and 765 blocks of 2 MiB.
    const blocks = (count: number): number =>
      new Set(pages.slice(0, count).map((page) => Math.floor(page / 512))).size;
    expect([1536, 3072, 6144].map(blocks)).toEqual([192, 384, 768]);
  });

  it('refuses what cannot be', () => {
    const run = (words: string, machine?: string) => (): unknown =>
      runVirtually(sockexDirectmap, words, machine);
    expect(run('steps=4,4')).toThrow(/steps: '4,4' is no list of growing numbers of instances/);
    expect(run('steps=2000 memory=2G')).toThrow(/2000 instances need more free pages than 2G/);
    expect(run('memory=2100M')).toThrow(/memory: give whole gigabytes/);
    expect(run('', 'graviton4_2p')).toThrow(/nothing is left to split/);
  });
});
