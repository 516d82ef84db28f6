/**
 * Executable memory before time 0: vmalloc's address space, the kernel's table, the linear map's
 * counts, the poke window, one page allocator, and what each allocator keeps.
 *
 * With rodata=full and no BBML2 arm64 maps the linear map by pages (force_pte_mapping); only memory
 * with contents is, as no other can hold code.
 */

import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import type { Address } from '../../memory/physical-address.ts';
import { paHiOf, paLoOf } from '../../memory/physical-address.ts';
import { makeMutex } from '../../sync/mutex.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import type { KernelMap } from '../../translation/boot-tables.ts';
import { bootPageAllocator, metadataBytes } from '../base/boot-page-allocator.ts';
import { kernelLayout } from '../base/kernel-layout.ts';
import type { PageAllocatorImage } from '../base/page-allocator.ts';
import { bootKernelTable, type KernelTableImage } from '../kernel-table/kernel-table.ts';
import { bootLinearMap, type LinearMapImage, splitAtBoot } from '../linear-map/image.ts';
import { bootFixmap, type FixmapImage } from '../patching/fixmap-poke.ts';
import { bootPokingMm, type PokingMmImage } from '../patching/temporary-mm-poke.ts';
import type { SmpImage } from '../smp/call-function.ts';
import { bootVmalloc, type VmallocImage, vmallocBytes } from '../vmalloc/image.ts';
import type { ExecmemOptions } from './options.ts';
import { bootPacks, type PackImage, packBytes, packsBytes, preparePack } from './prog-pack.ts';

/** Plain data. */
export interface ExecmemImage {
  readonly options: ExecmemOptions;
  readonly smp: SmpImage;
  readonly table: KernelTableImage;
  readonly vmalloc: VmallocImage;
  readonly linear: LinearMapImage;
  readonly pages: PageAllocatorImage;
  readonly fixmap: FixmapImage;
  readonly pokingMm: PokingMmImage;
  readonly packs: PackImage;
}

export interface ExecmemBoot {
  readonly options: ExecmemOptions;
  readonly map: KernelMap;
  readonly userRoots: readonly Address[];
  readonly smp: SmpImage;
  readonly replicatedText: boolean;
  /** Areas of vmalloc that may exist at once. */
  readonly areas: number;
  /** The first pack exists before time 0, as on a machine that has been up for a while. */
  readonly preparedPack?: boolean;
  /** Memory without contents to manage per node (user pages of a workload). */
  readonly movableBytes?: number;
  /** Lazily freed pages that start a purge, instead of the kernel's figure for the machine. */
  readonly lazyPagesMax?: number;
}

const FIXED_BYTES = 512 * 1024;

/** Backed bytes per node beside the pages that are given out. */
export function execmemBytes(machine: Machine, areas: number, movableBytes = 0): number {
  const tables = 64 * 4096;
  return (
    FIXED_BYTES + tables + vmallocBytes(areas) + packsBytes(machine) + metadataBytes(movableBytes)
  );
}

export function bootExecmem(boot: BootMemory, options: ExecmemBoot): ExecmemImage {
  const { machine } = boot;
  const lock = makeQueuedSpinlock();
  const node = boot.nearestNodeWithMemory(0);
  const isPrepared = options.preparedPack === true && options.options.allocator === 'prog_pack';
  const packSize = packBytes(machine);
  const vmalloc = bootVmalloc(boot, {
    node,
    modulesTaken: isPrepared ? packSize : 0,
    layout: kernelLayout(options.replicatedText),
    areas: options.areas,
    lock,
    cpus: machine.cpuCount,
    ...(options.lazyPagesMax === undefined ? {} : { lazyPagesMax: options.lazyPagesMax }),
  });
  const table = bootKernelTable(boot, options.map, node, lock);
  const fixmap = bootFixmap(boot, options.map, node, lock);
  const pokingMm = bootPokingMm(boot, node, makeMutex(), options.userRoots);
  const packs = bootPacks(boot, node, packSize);
  if (mapsByPages(machine, options.options)) {
    for (let at = 0; at < machine.nodeCount; at++) {
      if (machine.memoryBytesOfNode[at] === 0) continue;
      const start = { hi: paHiOf(at, 0), lo: paLoOf(0) };
      splitAtBoot(boot, options.map, at, start, boot.memory.backedBytes);
    }
  }
  if (isPrepared) {
    preparePack(boot, packs, {
      map: options.map,
      node,
      start: kernelLayout(options.replicatedText).modules,
      huge: options.options.packPages === '2M',
      readOnlyAlias: machine.architecture === 'x86' || options.options.rodata === 'full',
    });
  }
  const linear = bootLinearMap(boot, options.map, node, lock);
  const { movableBytes = 0 } = options;
  const pages = bootPageAllocator(boot, { zoneLock: lock, movableBytes });
  const { smp } = options;
  return {
    options: options.options,
    smp,
    table,
    vmalloc,
    linear,
    pages,
    fixmap,
    pokingMm,
    packs,
  };
}

/** force_pte_mapping. */
export function mapsByPages(machine: Machine, options: ExecmemOptions): boolean {
  return machine.architecture === 'arm64' && options.rodata === 'full' && !options.linearMapBbm;
}
