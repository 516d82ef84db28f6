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
import type { PageListSize } from '../base/page-list-size.ts';
import { bootKernelTable, type KernelTableImage } from '../kernel-table/kernel-table.ts';
import { bootLinearMap, type LinearMapImage, splitAtBoot } from '../linear-map/image.ts';
import { bootFixmap, type FixmapImage } from '../patching/fixmap-poke.ts';
import { bootPokingMm, type PokingMmImage } from '../patching/temporary-mm-poke.ts';
import type { SmpImage } from '../smp/call-function.ts';
import { copiedBytes, type KernelTextImage } from '../text/image.ts';
import { bootVmalloc, textStart, type VmallocImage, vmallocBytes } from '../vmalloc/image.ts';
import { ageBuddy } from './aged-buddy.ts';
import { type AreaPoolImage, areaPoolBytes, bootAreaPool } from './area-pool.ts';
import type { ExecmemOptions } from './options.ts';
import { bootPosted, POSTED_BYTES, type PostedImage } from './posted-image.ts';
import { bootPacks, type PackImage, packBytes, packsBytes, preparePack } from './prog-pack.ts';
import { directBytes, type ReachImage, reachOf } from './reach.ts';
import { bootRox, ROX_BYTES, type RoxImage } from './rox-cache.ts';
import { PMD_BYTES } from './scale.ts';
import { bootTextTail, TEXT_TAIL_BYTES } from './text-tail.ts';
import { bootTyped, TYPED_BYTES, type TypedImage } from './typed.ts';

/** Plain data. */
export interface ExecmemImage {
  readonly options: ExecmemOptions;
  /** PMD_SIZE, or what stands for it. */
  readonly pmdBytes: number;
  readonly smp: SmpImage;
  readonly table: KernelTableImage;
  readonly vmalloc: VmallocImage;
  readonly linear: LinearMapImage;
  readonly pages: PageAllocatorImage;
  readonly fixmap: FixmapImage;
  readonly pokingMm: PokingMmImage;
  readonly packs: PackImage;
  readonly areaPool: AreaPoolImage;
  readonly posted: PostedImage;
  readonly rox: RoxImage;
  readonly typed: TypedImage;
  readonly reach: ReachImage;
}

export interface ExecmemBoot {
  readonly options: ExecmemOptions;
  readonly map: KernelMap;
  readonly userRoots: readonly Address[];
  readonly smp: SmpImage;
  readonly replicatedText: boolean;
  /** The kernel's text where it is emulated: how far it reaches, and its tail. */
  readonly text?: KernelTextImage | null;
  /** Areas of vmalloc that may exist at once. */
  readonly areas: number;
  /** The first pack exists before time 0, as on a machine that has been up for a while. */
  readonly preparedPack?: boolean;
  /** Memory without contents to manage per node (user pages of a workload). */
  readonly movableBytes?: number;
  /** Lazily freed pages that start a purge, instead of the kernel's figure for the machine. */
  readonly lazyPagesMax?: number;
  /** Scaled down: what stands for PMD_SIZE, and the sizes of the page allocator's lists. */
  readonly pmdBytes?: number;
  readonly listSize?: PageListSize;
}

const FIXED_BYTES = 512 * 1024;

/** Backed bytes per node beside the pages that are given out. */
export function execmemBytes(
  machine: Machine,
  areas: number,
  movableBytes = 0,
  textTail = false,
): number {
  const tables = 64 * 4096;
  return (
    FIXED_BYTES +
    tables +
    vmallocBytes(areas) +
    packsBytes(machine) +
    areaPoolBytes(areas) +
    POSTED_BYTES +
    ROX_BYTES +
    TYPED_BYTES +
    (textTail ? TEXT_TAIL_BYTES : 0) +
    metadataBytes(movableBytes)
  );
}

export function bootExecmem(boot: BootMemory, given: ExecmemBoot): ExecmemImage {
  const { machine } = boot;
  const { options, map, text = null, pmdBytes = PMD_BYTES } = given;
  const lock = makeQueuedSpinlock();
  const node = boot.nearestNodeWithMemory(0);
  const layout = kernelLayout(given.replicatedText);
  const kernelBytes = text === null ? 0 : copiedBytes(text);
  const direct = directBytes(machine, options, layout, kernelBytes);
  const isPrepared = given.preparedPack === true && options.allocator === 'prog_pack';
  const sharesTail = options.textTail && options.allocator === 'execmem-posted';
  const tail = sharesTail ? bootTextTail(boot, map, text) : null;
  const vmalloc = bootVmalloc(boot, {
    node,
    layout,
    directBytes: direct,
    textTaken: isPrepared ? packBytes(machine) : 0,
    areas: given.areas,
    lock,
    cpus: machine.cpuCount,
    ...(given.lazyPagesMax === undefined ? {} : { lazyPagesMax: given.lazyPagesMax }),
  });
  const table = bootKernelTable(boot, map, node, lock);
  const fixmap = bootFixmap(boot, map, node, lock);
  const pokingMm = bootPokingMm(boot, node, makeMutex(), given.userRoots);
  const packs = bootPacks(boot, node, packBytes(machine, pmdBytes));
  const allocators = {
    areaPool: bootAreaPool(boot, node, given.areas, lock),
    posted: bootPosted(boot, node, tail),
    rox: bootRox(boot, node),
    typed: bootTyped(boot, node),
    reach: reachOf(machine, options, layout, kernelBytes),
  };
  if (mapsByPages(machine, options)) splitAllAtBoot(boot, map);
  if (isPrepared) {
    preparePack(boot, packs, {
      map,
      node,
      start: textStart(layout, direct),
      huge: options.packPages === '2M',
      readOnlyAlias: machine.architecture === 'x86' || options.rodata === 'full',
    });
  }
  const linear = bootLinearMap(boot, map, node, lock);
  const { movableBytes = 0, smp, listSize } = given;
  const pages = bootPageAllocator(boot, {
    zoneLock: lock,
    movableBytes,
    ...(listSize === undefined ? {} : { listSize }),
  });
  ageBuddy(boot, pages, options.agedBuddy / 100);
  return {
    options,
    pmdBytes,
    smp,
    table,
    vmalloc,
    linear,
    pages,
    fixmap,
    pokingMm,
    packs,
    ...allocators,
  };
}

function splitAllAtBoot(boot: BootMemory, map: KernelMap): void {
  const { machine } = boot;
  for (let at = 0; at < machine.nodeCount; at++) {
    if (machine.memoryBytesOfNode[at] === 0) continue;
    const start = { hi: paHiOf(at, 0), lo: paLoOf(0) };
    splitAtBoot(boot, map, at, start, boot.memory.backedBytes);
  }
}

/** force_pte_mapping. */
export function mapsByPages(machine: Machine, options: ExecmemOptions): boolean {
  return machine.architecture === 'arm64' && options.rodata === 'full' && !options.linearMapBbm;
}
