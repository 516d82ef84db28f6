/**
 * A code layout in emulated memory: its words in frames with contents, mapped as kernel text
 * (PAGE_KERNEL_ROX). Nothing of it is charged; boot is before time 0.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { mapRange, type TranslationTable } from '../../translation/boot-tables.ts';
import { granuleBytes } from '../../translation/granule.ts';
import { S1_KERNEL_TEXT_HI, S1_KERNEL_TEXT_LO } from '../../translation/stage1-descriptors.ts';
import type { CodeLayout } from './layout.ts';

/** Code as programs execute it: plain data. */
export interface CodeImage {
  readonly layout: CodeLayout;
  /** Virtual address of the first instruction. */
  readonly hi: number;
  readonly lo: number;
}

/** Bytes of the frames of a layout. */
export function codeBytes(layout: CodeLayout, pageBytes = 4096): number {
  return Math.ceil(layout.parameters.footprintBytes / pageBytes) * pageBytes;
}

/** Frames on the node, filled with the words; physical address. */
export function placeCode(
  boot: BootMemory,
  name: string,
  node: number,
  layout: CodeLayout,
  alignment = 4096,
): Address {
  const address = boot.allocateText(name, node, codeBytes(layout, 4096), alignment);
  layout.words.forEach((word, index) => {
    boot.write32(address, index * 4, word);
  });
  return address;
}

export interface CodeMapping {
  /** Virtual address; the text must not cross a multiple of 4 GiB. */
  readonly input: Address;
  readonly output: Address;
  readonly tableNode: number;
  /** log2 of the largest leaf. */
  readonly maximumShift?: number;
}

export function mapCode(
  boot: BootMemory,
  table: TranslationTable,
  layout: CodeLayout,
  mapping: CodeMapping,
): CodeImage {
  const { input } = mapping;
  mapRange(boot, table, {
    ...mapping,
    bytes: codeBytes(layout, granuleBytes(table.granule)),
    attributesHi: S1_KERNEL_TEXT_HI,
    attributesLo: S1_KERNEL_TEXT_LO,
  });
  return { layout, hi: input.hi, lo: input.lo };
}

/** Virtual address of the entry of a function: a NOP. */
export function entryOf(image: CodeImage, index: number): Address {
  return addBytes({ hi: image.hi, lo: image.lo }, image.layout.functions[index]!);
}
