/**
 * What the linear map keeps besides its tables: how many leaves of each size it has
 * (/proc/meminfo's DirectMap4k, DirectMap2M, DirectMap1G; x86 direct_pages_count, arm64 counts the
 * same here) and the lock under which leaves are split.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { descriptorAt, type KernelMap } from '../../translation/boot-tables.ts';
import {
  isBlockOrPage,
  isTable,
  isValid,
  leafAttributesHi,
  leafAttributesLo,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
  PTE_DBM_HI,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import { S1_READ_ONLY } from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';

/** Sizes of leaves by level; the top level has none. */
export const LEAF_SHIFT: readonly number[] = [39, 30, 21, 12];
const ENTRIES = 512;

/** Plain data; linear-map addresses. */
export interface LinearMapImage {
  /** pgd_lock (x86), pgtable_split_lock (arm64). */
  readonly lock: Address;
  /** Number of leaves by level: word `level` of this. */
  readonly counts: Address;
  /** The first and one past the last table-backed gigabyte: see bootLinearMap. */
  readonly root: Address;
}

export function bootLinearMap(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  lock: Lock,
): LinearMapImage {
  const words = boot.allocateNamed('linear map split lock', node, 64);
  lock.init?.(boot, words);
  const counts = boot.allocateNamed('direct_pages_count', node, 64);
  countLeaves(boot, map.table.root, 0).forEach((count, level) => {
    boot.write32(counts, level * 4, count);
  });
  return { lock: toLinear(words), counts: toLinear(counts), root: map.table.root };
}

/** Leaves by level below the linear half of a root: its first 256 entries. */
function countLeaves(boot: BootMemory, table: Address, level: number): number[] {
  const counts = [0, 0, 0, 0];
  for (let index = 0; index < (level === 0 ? ENTRIES / 2 : ENTRIES); index++) {
    const lo = boot.read32(table, index * 8);
    if (!isValid(lo)) continue;
    if (isBlockOrPage(lo, level)) {
      counts[level]!++;
      continue;
    }
    const hi = boot.read32(table, index * 8 + 4);
    const below = countLeaves(boot, { hi: outputHi(hi, 12), lo: outputLo(lo, 12) }, level + 1);
    below.forEach((count, at) => {
      counts[at]! += count;
    });
  }
  return counts;
}

/**
 * Maps a stretch of physical memory by pages before time 0, as force_pte_mapping does for all of it
 * on arm64 with rodata=full: only memory that set_memory will meet is worth the tables here.
 */
export function splitAtBoot(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  physical: Address,
  bytes: number,
): void {
  for (let done = 0; done < bytes; ) {
    const at = toLinear(addBytes(physical, done));
    splitBlocksAt(boot, map, node, at);
    // The rest of this table of pages is done too.
    const inBlock = (at.lo >>> 0) % 2 ** 21;
    done += 2 ** 21 - inBlock;
  }
}

function splitBlocksAt(boot: BootMemory, map: KernelMap, node: number, at: Address): void {
  for (let level = 1; level < 3; level++) splitLeafAtBoot(boot, map, node, at, level);
}

/** Splits the leaf of a level at a linear-map address before time 0, if there is one. */
export function splitLeafAtBoot(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  at: Address,
  level: number,
): void {
  const entry = descriptorAt(boot, map.table, at, level, node);
  const lo = boot.read32(entry, 0);
  const hi = boot.read32(entry, 4);
  if (!isValid(lo) || isTable(lo, level)) return;
  const table = boot.allocate(node, PAGE_BYTES, PAGE_BYTES);
  const shift = LEAF_SHIFT[level]!;
  const output = { hi: outputHi(hi, shift), lo: outputLo(lo, shift) };
  for (let index = 0; index < ENTRIES; index++) {
    const to = addBytes(output, index * 2 ** LEAF_SHIFT[level + 1]!);
    const leafLo = leafDescriptorLo(to.lo, leafAttributesLo(lo), level + 1);
    boot.write64(table, index * 8, leafDescriptorHi(to.hi, leafAttributesHi(hi)), leafLo);
  }
  boot.write64(entry, 0, tableDescriptorHi(table.hi), tableDescriptorLo(table.lo));
}

/** Nobody writes to a stretch of memory through the linear map: its leaves are pages, read-only. */
export function makeAliasReadOnly(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  physical: Address,
  bytes: number,
): void {
  splitAtBoot(boot, map, node, physical, bytes);
  for (let done = 0; done < bytes; done += PAGE_BYTES) {
    const entry = descriptorAt(boot, map.table, toLinear(addBytes(physical, done)), 3, node);
    const lo = boot.read32(entry, 0) | S1_READ_ONLY;
    boot.write64(entry, 0, boot.read32(entry, 4) & ~PTE_DBM_HI, lo);
  }
}
