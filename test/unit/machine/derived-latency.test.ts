/**
 * Promise: a memory latency that was published with the TLB misses of its chase in it is in the
 * profile without them, and the difference follows from the other parameters of the profile.
 *
 * A random chase over a set much larger than both TLBs: each load misses the second-level TLB
 * unless its page is one of the last ones, and walks. The walk cache holds the last level-2
 * descriptors; the ones that it misses are few lines and lie in the L2. Leaf descriptors share the
 * L2 with the data, which is never used again: their hit rate is that of an LRU cache with
 * independent references (Che, Tung, Wang, JSAC 2002), the rest comes from the local last level.
 */

import { expect, it } from 'vitest';
import { MIB } from '../../../src/base/units.ts';
import { loadMachine } from '../../../src/machine/catalog.ts';
import type { Machine } from '../../../src/machine/machine.ts';

const LINE_BYTES = 64;
const DESCRIPTOR_BYTES = 8;
/** What one level-2 descriptor covers with a granule of 4K. */
const LEVEL2_BYTES = 2 * MIB;

/** Share of leaf descriptors in the L2, where each load brings one line of data as well. */
function leafHitRate(l2Lines: number, leafLines: number): number {
  const linesAfter = (loads: number): number =>
    loads + leafLines * (1 - Math.exp(-loads / leafLines));
  let low = 0;
  let high = l2Lines;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (linesAfter(middle) < l2Lines) low = middle;
    else high = middle;
  }
  return 1 - Math.exp(-low / leafLines);
}

/** What translation adds to a load of a random chase, on average. */
function translationNs(machine: Machine, setBytes: number, pageBytes: number): number {
  const { dtlb, tlb2, l2, llc, walkCacheEntries } = machine;
  const pages = setBytes / pageBytes;
  const leafLines = (pages * DESCRIPTOR_BYTES) / LINE_BYTES;
  const leafHits = leafHitRate(l2.bytes / LINE_BYTES, leafLines);
  const tableMisses = 1 - walkCacheEntries / (setBytes / LEVEL2_BYTES);
  const leafPs = leafHits * l2.latencyPs + (1 - leafHits) * llc.latencyPs;
  const walkPs = tableMisses * l2.latencyPs + leafPs;
  const secondLevelHits = (tlb2.entries - dtlb.entries) / pages;
  const walks = 1 - tlb2.entries / pages;
  return (secondLevelHits * tlb2.penaltyPs + walks * walkPs) / 1000;
}

it('Kunpeng 920: memory of the other die is the published chase less its page walks', () => {
  const machine = loadMachine('kunpeng920_2p_128');
  const figure = machine.provenance['latency.dramCrossDie']!;
  expect(figure.source).toContain('published as: 163.5 ns');
  expect(figure.source).toContain('chase over 256M with 4K pages');
  const added = translationNs(machine, 256 * MIB, 4096);
  expect(figure.source).toContain(`less the ${added.toFixed(2)} ns`);
  expect(figure.value).toBeCloseTo(163.5 - added, 2);
});
