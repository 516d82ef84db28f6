/**
 * The memory of the published sockex runs (A. Lu, reply to execmem_alloc v2, lore, 2022-11-07): a
 * VM of 8 GB whose direct map has 10 GiB in leaves of all three sizes at boot, and a buddy that has
 * aged, so that pages come from 2 MiB blocks here and there.
 *
 * Three figures are fitted to those lines, which so are no test of the model: a block has eight
 * free pages (183 blocks were split by 1536 pages, 765 by 6144); three eighths of the blocks of a
 * gigabyte have any; one gigabyte is used after the other, those with small leaves first. Misfit:
 * the published 512 instances split no 1 GiB leaf, here they may split one.
 *
 * The seed draws which blocks have free pages, where in them, and their order in a gigabyte.
 */

import { assert } from '../../src/base/assert.ts';
import { RandomStream } from '../../src/base/random.ts';
import { GIB, MIB } from '../../src/base/units.ts';
import { splitLeafAtBoot } from '../../src/kernel/linear-map/image.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { addBytes, paHiOf, paLoOf, toLinear } from '../../src/memory/physical-address.ts';
import type { KernelMap } from '../../src/translation/boot-tables.ts';

const BLOCKS_PER_GIB = 512;
const PAGES_PER_BLOCK = 512;
const FREE_RUN_PAGES = 8;
/** Of eight blocks so many have free pages. */
const FREE_EIGHTHS = 3;

/** DirectMap4k 87900 kB, DirectMap2M 5154816 kB, DirectMap1G 5242880 kB at boot. */
const PUBLISHED_SMALL_GIB = 5;
const PUBLISHED_GIB = 10;
const PUBLISHED_BLOCKS_IN_PAGES = 43;

/** Tables that ageLinearMap makes. */
export function agedTablesBytes(gigabytes: number): number {
  return (smallGigabytes(gigabytes) + PUBLISHED_BLOCKS_IN_PAGES) * 4096;
}

/** How many of the first `gigabytes` have leaves of 2 MiB at boot. */
export function smallGigabytes(gigabytes: number): number {
  return Math.ceil((gigabytes * PUBLISHED_SMALL_GIB) / PUBLISHED_GIB);
}

/** Leaves of these gigabytes at boot. */
export function agedLeaves(gigabytes: number): { small: number; middle: number; large: number } {
  const lower = smallGigabytes(gigabytes);
  return {
    small: PUBLISHED_BLOCKS_IN_PAGES * PAGES_PER_BLOCK,
    middle: lower * BLOCKS_PER_GIB - PUBLISHED_BLOCKS_IN_PAGES,
    large: gigabytes - lower,
  };
}

/** Maps the lower gigabytes by 2 MiB, and the last blocks of the first one by pages. */
export function ageLinearMap(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  gigabytes: number,
): void {
  const start = toLinear({ hi: paHiOf(node, 0), lo: paLoOf(0) });
  for (let at = 0; at < smallGigabytes(gigabytes); at++) {
    splitLeafAtBoot(boot, map, node, addBytes(start, at * GIB), 1);
  }
  for (let block = 1; block <= PUBLISHED_BLOCKS_IN_PAGES; block++) {
    splitLeafAtBoot(boot, map, node, addBytes(start, GIB - block * 2 * MIB), 2);
  }
}

/**
 * Page numbers on the node in the order in which the aged buddy gives them out; `first`: the first
 * page that it may give.
 */
export function agedPages(
  seed: number,
  gigabytes: number,
  first: number,
  count: number,
): readonly number[] {
  const random = new RandomStream(seed, 'aged memory', 0);
  const pages: number[] = [];
  const small = smallGigabytes(gigabytes);
  for (let turn = 0; turn < gigabytes && pages.length < count; turn++) {
    // The highest one with small leaves, then those of 1 GiB, then what is left at the bottom.
    const gigabyte = (small - 1 + turn) % gigabytes;
    const runs: number[] = [];
    for (let block = 0; block < BLOCKS_PER_GIB; block++) {
      const word = random.uint32();
      if (word % 8 >= FREE_EIGHTHS) continue;
      const slot = (word >>> 3) % (PAGES_PER_BLOCK / FREE_RUN_PAGES);
      const page = (gigabyte * BLOCKS_PER_GIB + block) * PAGES_PER_BLOCK + slot * FREE_RUN_PAGES;
      if (page >= first) runs.push(page);
    }
    shuffle(runs, random);
    for (const run of runs) {
      for (let page = 0; page < FREE_RUN_PAGES; page++) pages.push(run + page);
    }
  }
  assert(pages.length >= count, `${pages.length} free pages, ${count} are needed`);
  return pages.slice(0, count);
}

function shuffle(values: number[], random: RandomStream): void {
  for (let index = values.length - 1; index > 0; index--) {
    const other = random.uint32() % (index + 1);
    [values[index], values[other]] = [values[other]!, values[index]!];
  }
}
