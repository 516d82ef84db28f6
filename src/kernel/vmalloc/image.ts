/**
 * What vmalloc keeps in emulated memory (mm/vmalloc.c, v6.13): free address space by range, areas
 * in use, areas freed lazily, and a pool of vmap_area nodes.
 *
 * Deviations: a tree of free areas per range (modules, vmalloc) under the one free_vmap_area_lock
 * instead of one tree searched between bounds; one busy tree, as up to v6.8 (vmap_nodes share it
 * out since); vmap_area nodes come from a list under that lock instead of a slab.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { AREA_BYTES, AreaField } from '../base/area-tree.ts';
import type { KernelLayout } from '../base/kernel-layout.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';

/** Direct: the end of the modules range that reaches the kernel by one branch instruction. */
export const VmallocRange = { Modules: 0, Vmalloc: 1, Direct: 2 } as const;
export type VmallocRange = (typeof VmallocRange)[keyof typeof VmallocRange];

/** A vmap_area and its vm_struct: the tree's node, then what is the area's own. */
export const VmapField = {
  /** Linear-map address of the array of frames (8 bytes each). */
  Pages: AreaField.Owner,
  /** Number of frames; a guard page is in Units only. */
  Count: AreaField.Owner + 8,
  /** VmapFlag bits; the range from bit 8 on. */
  Flags: AreaField.Owner + 12,
  /** Next of a list, instead of the tree's left link. */
  Next: AreaField.Left,
} as const;

export const VmapFlag = {
  /** VM_FLUSH_RESET_PERMS. */
  ResetPermissions: 1,
  /** Frames are blocks of 2 MiB, mapped as such. */
  Huge: 2,
  /** vm == NULL: part of an area that left vmalloc (posted execmem_alloc). */
  NoVm: 4,
} as const;
export const RANGE_SHIFT = 8;

/** Plain data; linear-map addresses. */
export interface VmallocImage {
  /** free_vmap_area_lock, vmap_area_lock (busy), purge_vmap_area_lock (lazy), vmap_purge_lock. */
  readonly freeLock: Address;
  readonly busyLock: Address;
  readonly lazyLock: Address;
  readonly purgeLock: Address;
  /** Roots of the trees of free areas, by range, and of the areas in use. */
  readonly freeRoots: readonly Address[];
  readonly busyRoot: Address;
  /** First area freed lazily, and how many pages those have together (vmap_lazy_nr). */
  readonly lazyHead: Address;
  readonly lazyPages: Address;
  readonly poolHead: Address;
  /** Lazily freed pages that start a purge. */
  readonly lazyPagesMax: number;
}

/** lazy_max_pages: fls(cpus) * 32 MiB. */
export function lazyPagesMax(cpus: number): number {
  return (32 - Math.clz32(cpus)) * ((32 * 2 ** 20) / PAGE_BYTES);
}

const WORDS_BYTES = 64 * 9;
const RANGES = 3;

/** Backed bytes on the node that keeps vmalloc's data. */
export function vmallocBytes(areas: number): number {
  return WORDS_BYTES + (areas + RANGES) * AREA_BYTES;
}

export interface VmallocBoot {
  readonly node: number;
  readonly layout: KernelLayout;
  /** Areas that may exist at once, free ones and lazily freed ones included. */
  readonly areas: number;
  readonly lock: Lock;
  readonly cpus: number;
  /** Bytes at the end of the modules range that are a range of their own. Default 0. */
  readonly directBytes?: number;
  /** Bytes at the start of the first range for text that are in use before time 0. */
  readonly textTaken?: number;
  /** Instead of lazyPagesMax: a scaled-down machine purges earlier. */
  readonly lazyPagesMax?: number;
}

export function bootVmalloc(boot: BootMemory, options: VmallocBoot): VmallocImage {
  const { node, layout, areas, lock, directBytes = 0, textTaken = 0 } = options;
  const line = (name: string): Address => boot.allocateNamed(name, node, 64);
  const locks = ['free_vmap_area_lock', 'vmap_area_lock', 'purge_vmap_area_lock'].map(line);
  locks.push(line('vmap_purge_lock'));
  for (const physical of locks) lock.init?.(boot, physical);
  const words = line('vmap_area_root');
  const lazy = line('vmap_lazy_nr');
  const pool = boot.allocateNamed('vmap_area', node, (areas + RANGES) * AREA_BYTES);
  const poolHead = line('vmap_area_cachep');
  const nodeAt = (index: number): Address => addBytes(pool, index * AREA_BYTES);
  const ranges: readonly (readonly [Address, number])[] = [
    behind(layout.modules, layout.modulesBytes - directBytes, directBytes > 0 ? 0 : textTaken),
    [layout.vmalloc, layout.vmallocBytes],
    behind(textStart(layout, directBytes), directBytes, directBytes > 0 ? textTaken : 0),
  ];
  const freeRoots = ranges.map(([start, bytes], range) => {
    const root = addBytes(words, 8 * range);
    if (bytes === 0) return toLinear(root);
    const area = nodeAt(range);
    const units = bytes / PAGE_BYTES;
    boot.write64(area, AreaField.Start, start.hi, start.lo);
    boot.write32(area, AreaField.Units, units);
    boot.write32(area, AreaField.Largest, units);
    const { hi, lo } = toLinear(area);
    boot.write64(root, 0, hi, lo);
    return toLinear(root);
  });
  for (let index = 0; index < areas; index++) {
    const next = index === areas - 1 ? { hi: 0, lo: 0 } : toLinear(nodeAt(index + RANGES + 1));
    boot.write64(nodeAt(index + RANGES), VmapField.Next, next.hi, next.lo);
  }
  const first = toLinear(nodeAt(RANGES));
  boot.write64(poolHead, 0, first.hi, first.lo);
  return {
    freeLock: toLinear(locks[0]!),
    busyLock: toLinear(locks[1]!),
    lazyLock: toLinear(locks[2]!),
    purgeLock: toLinear(locks[3]!),
    freeRoots,
    busyRoot: toLinear(addBytes(words, 8 * RANGES)),
    lazyHead: toLinear(lazy),
    lazyPages: toLinear(addBytes(lazy, 8)),
    poolHead: toLinear(poolHead),
    lazyPagesMax: options.lazyPagesMax ?? lazyPagesMax(options.cpus),
  };
}

/** What is left of a range. */
function behind(start: Address, bytes: number, taken: number): [Address, number] {
  return [addBytes(start, taken), bytes - taken];
}

/** Where the first range for text begins. */
export function textStart({ modules, modulesBytes }: KernelLayout, directBytes: number): Address {
  return addBytes(modules, directBytes > 0 ? modulesBytes - directBytes : 0);
}
