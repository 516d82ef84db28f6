/**
 * The kernel image before time 0, and its copies: ktext_replication_init and the patches around it
 * (arm64 kernel text replication v2, R. King, 2023-07-27; reposted by H. Jia, 2024-01-17).
 *
 * For every node but the first with memory: a copy of _stext .. __end_rodata on the node, a root of
 * its own with the shared entries of swapper_pg_dir and tables of its own below the kernel's entry.
 * CPUs start with the root of their node in TTBR1; a node without memory uses the nearest copy.
 *
 * Deviations: no trampoline and reserved roots beside swapper's: kpti=on costs one more page per
 * node and its switches, nothing else; the boot CPU starts on its node's root as well.
 */

import { UserError } from '../../base/errors.ts';
import { hash32 } from '../../base/random.ts';
import { formatBytes } from '../../base/units.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import {
  createStage1Table,
  type KernelMap,
  mapRange,
  type TranslationTable,
} from '../../translation/boot-tables.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import {
  S1_KERNEL_READ_ONLY_HI,
  S1_KERNEL_READ_ONLY_LO,
  S1_KERNEL_TEXT_HI,
  S1_KERNEL_TEXT_LO,
} from '../../translation/stage1-descriptors.ts';
import { kernelLayout, PGDIR_BYTES, rootIndex } from '../base/kernel-layout.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { type CodeLayout, layoutCode } from '../code/layout.ts';
import type { KernelTextImage, TextCopy } from './image.ts';
import type { TextOptions } from './options.ts';

/** SEGMENT_ALIGN: sections begin at multiples of this. */
export const SEGMENT_BYTES = 65536;
const ROOT_ENTRIES = 512;

export interface KernelTextBoot {
  readonly map: KernelMap;
  readonly options: TextOptions;
  readonly lock: Lock;
  readonly seed: number;
}

/** Does the image exist more than once under roots of its own? */
export function hasCopies({ text, ktext }: TextOptions): boolean {
  return text === 'replicated' && ktext;
}

/** Backed bytes per node at most: the image, a copy's tables, roots. */
export function kernelTextBytes(options: TextOptions): number {
  const image = sectionBytes(options.textBytes) + sectionBytes(options.rodataBytes);
  const tables = (6 + Math.ceil(image / 2 ** 21)) * PAGE_BYTES;
  return image + 2 ** 21 + tables + 8 * PAGE_BYTES;
}

function sectionBytes(bytes: number): number {
  return Math.ceil(bytes / SEGMENT_BYTES) * SEGMENT_BYTES;
}

export function bootKernelText(boot: BootMemory, given: KernelTextBoot): KernelTextImage {
  const { map, options, lock } = given;
  const textBytes = sectionBytes(options.textBytes);
  const rodataBytes = sectionBytes(options.rodataBytes);
  const sizes = { textBytes, rodataBytes, textPages: options.textPages };
  const start = kernelLayout(options.text === 'replicated').image;
  refuseLargeText(textBytes + rodataBytes);
  const first = boot.nearestNodeWithMemory(0);
  const original = allocateCopy(boot, first, textBytes + rodataBytes, options);
  const layout = layoutOf(options, textBytes, given.seed);
  layout.words.forEach((word, index) => {
    boot.write32(original, index * 4, word);
  });
  writeRodata(boot, addBytes(original, textBytes), rodataBytes);
  mapImage(boot, map.table, start, original, sizes, first);
  const copies: TextCopy[] = [{ node: first, physical: original, root: map.table.root }];
  const copyOfNode: number[] = [];
  let tableBytes = 0;
  for (let node = 0; node < boot.machine.nodeCount; node++) {
    const home = boot.nearestNodeWithMemory(node);
    if (hasCopies(options) && !copies.some((copy) => copy.node === home)) {
      const physical = allocateCopy(boot, home, textBytes + rodataBytes, options);
      const tablesFrom = boot.backedFree(home);
      const table = createStage1Table(boot, home, GRANULE_4K);
      mapImage(boot, table, start, physical, sizes, home);
      tableBytes += boot.backedFree(home) - tablesFrom;
      copies.push({ node: home, physical, root: table.root });
    }
    copyOfNode.push(
      Math.max(
        0,
        copies.findIndex((copy) => copy.node === home),
      ),
    );
  }
  const words = boot.allocateNamed('swapper_pgdir_lock', first, 64);
  lock.init?.(boot, words);
  boot.machine.nodeOfCpu.forEach((node, cpu) => {
    map.roots[cpu] = copies[copyOfNode[node]!]!.root;
  });
  return {
    options,
    start,
    code: { layout, hi: start.hi, lo: start.lo },
    textBytes,
    rodataBytes,
    copies,
    copyOfNode,
    rootLock: toLinear(words),
    rootIndex: rootIndex(start),
    rootEntries: Math.ceil((textBytes + rodataBytes) / PGDIR_BYTES),
    tableBytes,
  };
}

/**
 * Once everything is mapped and the text is written: fills the copies and gives every root the
 * entries that all share.
 */
export function finishKernelText(boot: BootMemory, image: KernelTextImage): void {
  const [original, ...others] = image.copies;
  for (const { physical, root } of others) {
    for (let offset = 0; offset < image.textBytes + image.rodataBytes; offset += 4) {
      boot.write32(physical, offset, boot.read32(original!.physical, offset));
    }
    for (let index = 0; index < ROOT_ENTRIES; index++) {
      if (isOwnEntry(image, index)) continue;
      const lo = boot.read32(original!.root, index * 8);
      boot.write64(root, index * 8, boot.read32(original!.root, index * 8 + 4), lo);
    }
  }
}

/** Does an entry of the root belong to the kernel's own slot? */
export function isOwnEntry(image: KernelTextImage, index: number): boolean {
  return index >= image.rootIndex && index < image.rootIndex + image.rootEntries;
}

function layoutOf(options: TextOptions, textBytes: number, seed: number): CodeLayout {
  return layoutCode(
    {
      footprintBytes: textBytes,
      hotBytes: options.hotTextBytes,
      hotShare: options.hotShare,
      branchiness: options.branchiness,
    },
    seed,
  );
}

function refuseLargeText(bytes: number): void {
  if (bytes <= 2 ** 28) return;
  throw new UserError(
    `the kernel text of ${formatBytes(bytes)} is larger than its slot in this model (256M); ` +
      'lower textSize',
  );
}

function allocateCopy(
  boot: BootMemory,
  node: number,
  bytes: number,
  options: TextOptions,
): Address {
  const alignment = options.textPages === '2M' ? 2 ** 21 : SEGMENT_BYTES;
  return boot.allocateText(`_stext@node${node}`, node, bytes, alignment);
}

/** Something to compare: copies of .rodata must be equal too. */
function writeRodata(boot: BootMemory, at: Address, bytes: number): void {
  for (let offset = 0; offset < bytes; offset += 64) {
    boot.write32(at, offset, hash32(offset, 0x726f, 0, 0));
  }
}

function mapImage(
  boot: BootMemory,
  table: TranslationTable,
  start: Address,
  physical: Address,
  sizes: { textBytes: number; rodataBytes: number; textPages: TextOptions['textPages'] },
  tableNode: number,
): void {
  const { textBytes, rodataBytes, textPages } = sizes;
  const leaves = textPages === '2M' ? {} : { maximumShift: 12, contiguous: textPages === '64K' };
  mapRange(boot, table, {
    input: start,
    output: physical,
    bytes: textBytes,
    attributesHi: S1_KERNEL_TEXT_HI,
    attributesLo: S1_KERNEL_TEXT_LO,
    tableNode,
    ...leaves,
  });
  if (rodataBytes === 0) return;
  // "NO_CONT_MAPPINGS" for copies of .rodata, and for the original alike.
  mapRange(boot, table, {
    input: addBytes(start, textBytes),
    output: addBytes(physical, textBytes),
    bytes: rodataBytes,
    attributesHi: S1_KERNEL_READ_ONLY_HI,
    attributesLo: S1_KERNEL_READ_ONLY_LO,
    tableNode,
    maximumShift: 12,
  });
}
