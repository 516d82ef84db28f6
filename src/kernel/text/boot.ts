/**
 * The kernel image before time 0, and its copies: ktext_replication_init and the patches around it
 * (arm64 kernel text replication v2, R. King, 2023-07-27; reposted by H. Jia, 2024-01-17).
 *
 * For every node but the first with memory: a copy of _stext .. __end_rodata on the node, a root of
 * its own with the shared entries of swapper_pg_dir and tables of its own below the kernel's entry.
 * CPUs start with the root of their node in TTBR1; a node without memory uses the nearest copy.
 *
 * With text=stage2-replicated the copies have no roots of their own: host-stage2.ts maps them. What
 * kpti=on and protectCopies=on add is in kpti.ts and protect-aliases.ts.
 *
 * Deviation: the boot CPU starts on its node's root as well, before it has switched.
 */

import { hash32 } from '../../base/random.ts';
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
import { bootHostStage2 } from './host-stage2.ts';
import type { KernelTextImage, TextCopy } from './image.ts';
import { mapTrampoline, reserveTrampoline } from './kpti.ts';
import type { TextOptions } from './options.ts';
import { protectAliases } from './protect-aliases.ts';

/** SEGMENT_ALIGN: sections begin at multiples of this. */
export const SEGMENT_BYTES = 65536;
const ROOT_ENTRIES = 512;

export interface KernelTextBoot {
  readonly map: KernelMap;
  readonly options: TextOptions;
  readonly lock: Lock;
  readonly seed: number;
  /** With kpti: what reserveTrampoline left before swapper_pg_dir was made. */
  readonly trampoline: Address | null;
}

interface ImageSizes {
  readonly textBytes: number;
  readonly rodataBytes: number;
  readonly textPages: TextOptions['textPages'];
}

/** Does the image exist more than once? */
export function hasCopies({ text, ktext }: TextOptions): boolean {
  return text !== 'shared' && ktext;
}

/** Backed bytes per node at most: the image, its tables, roots, what the options add. */
export function kernelTextBytes(options: TextOptions, nodeCount: number): number {
  const image = sectionBytes(options.textBytes) + sectionBytes(options.rodataBytes);
  const leafTables = 2 + Math.ceil(image / 2 ** 21);
  // Tables of the image itself, of its protected alias, trampolines and roots.
  const pages = 16 + 4 * leafTables;
  const perMap = 16 + 2 * nodeCount + leafTables * (nodeCount + 1);
  const stage2 = options.text === 'stage2-replicated' ? perMap : 0;
  return image + 2 ** 21 + (pages + stage2) * PAGE_BYTES;
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
  const first = boot.nearestNodeWithMemory(0);
  const original = allocateCopy(boot, first, textBytes + rodataBytes, options);
  const layout = layoutOf(options, textBytes, given.seed);
  layout.words.forEach((word, index) => {
    boot.write32(original, index * 4, word);
  });
  writeRodata(boot, addBytes(original, textBytes), rodataBytes);
  mapImage(boot, map.table, start, original, sizes, first);
  if (given.trampoline !== null) mapTrampoline(boot, map.table, given.trampoline, first);
  const copies: TextCopy[] = [
    {
      node: first,
      physical: original,
      root: map.table.root,
      trampoline: given.trampoline,
      stage2: null,
    },
  ];
  const { copyOfNode, tableBytes } = makeCopies(boot, given, copies, { ...sizes, start });
  const words = boot.allocateNamed('swapper_pgdir_lock', first, 64);
  lock.init?.(boot, words);
  boot.machine.nodeOfCpu.forEach((node, cpu) => {
    map.roots[cpu] = copies[copyOfNode[node]!]!.root;
  });
  const image: KernelTextImage = {
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
  // Under stage 2 that stage write-protects the text: stores through the linear map must reach it.
  if (options.text === 'stage2-replicated') return bootHostStage2(boot, image);
  return protectAliases(boot, map, image);
}

/** Adds a copy for each node that has memory and none yet; says which copy each node executes. */
function makeCopies(
  boot: BootMemory,
  { map, options, trampoline: shared }: KernelTextBoot,
  copies: TextCopy[],
  image: ImageSizes & { readonly start: Address },
): { copyOfNode: number[]; tableBytes: number } {
  const bytes = image.textBytes + image.rodataBytes;
  const ownRoot = options.text === 'replicated';
  const copyOfNode: number[] = [];
  let tableBytes = 0;
  for (let node = 0; node < boot.machine.nodeCount; node++) {
    const home = boot.nearestNodeWithMemory(node);
    const index = copies.findIndex((copy) => copy.node === home);
    if (index >= 0 || !hasCopies(options)) {
      copyOfNode.push(Math.max(0, index));
      continue;
    }
    const physical = allocateCopy(boot, home, bytes, options);
    const tablesFrom = boot.backedFree(home);
    const trampoline = ownRoot && shared !== null ? reserveTrampoline(boot, home) : shared;
    const table = ownRoot ? createStage1Table(boot, home, GRANULE_4K) : map.table;
    if (ownRoot) mapImage(boot, table, image.start, physical, image, home);
    tableBytes += boot.backedFree(home) - tablesFrom;
    copyOfNode.push(copies.length);
    copies.push({ node: home, physical, root: table.root, trampoline, stage2: null });
  }
  return { copyOfNode, tableBytes };
}

/**
 * Once everything is mapped and the text is written: fills the copies and gives every root the
 * entries that all share.
 */
export function finishKernelText(boot: BootMemory, image: KernelTextImage): void {
  const [original, ...others] = image.copies;
  for (const { physical, root, trampoline } of others) {
    for (let offset = 0; offset < image.textBytes + image.rodataBytes; offset += 4) {
      boot.write32(physical, offset, boot.read32(original!.physical, offset));
    }
    const ownRoot = root.hi !== original!.root.hi || root.lo !== original!.root.lo;
    if (!ownRoot) continue;
    copyRoot(boot, original!.root, root, (index) => !isOwnEntry(image, index));
    if (trampoline !== null) copyRoot(boot, original!.trampoline!, trampoline, () => true);
  }
}

function copyRoot(
  boot: BootMemory,
  from: Address,
  to: Address,
  isShared: (index: number) => boolean,
): void {
  for (let index = 0; index < ROOT_ENTRIES; index++) {
    if (!isShared(index)) continue;
    boot.write64(to, index * 8, boot.read32(from, index * 8 + 4), boot.read32(from, index * 8));
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
  sizes: ImageSizes,
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
