/**
 * The section types of the typed scheme (T. Gleixner's reply to the posted execmem_alloc, lore,
 * 2022-12): what a module consists of, and for each type where it goes, in which units it is taken
 * from vmalloc and handed out, and how it is mapped, filled and invalidated.
 *
 * `mapTo`: sections of one type live in the memory of another, so INITTEXT shares TEXT and leaves
 * holes there that small users fill; a legacy RWX architecture maps all to TEXT. Granularity above
 * alignment means that the rest of a page may be used by others; RODATA_AFTER_INIT must not, as
 * its pages change their permissions one module at a time.
 */

import { assert } from '../../base/assert.ts';
import { CHUNK_BYTES } from './chunk.ts';

export const SECTION_TYPES = [
  'TEXT',
  'DATA',
  'RODATA',
  'RODATA_AFTER_INIT',
  'INITTEXT',
  'INITDATA',
  'INITRODATA',
] as const;
export type SectionType = (typeof SECTION_TYPES)[number];

export interface SectionRules {
  /** The type in whose memory sections of this type live. */
  readonly mapTo: SectionType;
  /** What vmalloc is asked for, in multiples of it (times nodes for blocks). */
  readonly granularityBytes: number;
  /** What is handed out starts at multiples of it and is a multiple of it. */
  readonly alignmentBytes: number;
  /** Final protection: executable text, read-only or writable data. */
  readonly protection: 'text' | 'rodata' | 'data';
  /** Writable until seal(), which ends the module's init. */
  readonly sealed: boolean;
}

const PAGE = 4096;
const PMD = 2 ** 21;

const text: SectionRules = {
  mapTo: 'TEXT',
  granularityBytes: PMD,
  alignmentBytes: CHUNK_BYTES,
  protection: 'text',
  sealed: false,
};
const data: SectionRules = {
  mapTo: 'DATA',
  granularityBytes: PAGE,
  alignmentBytes: CHUNK_BYTES,
  protection: 'data',
  sealed: false,
};
const rodata: SectionRules = { ...data, mapTo: 'RODATA', protection: 'rodata' };

export type SectionTable = Readonly<Record<SectionType, SectionRules>>;

/** STRICT_MODULE_RWX. */
export const STRICT_SECTIONS: SectionTable = {
  TEXT: text,
  DATA: data,
  RODATA: rodata,
  RODATA_AFTER_INIT: {
    mapTo: 'RODATA_AFTER_INIT',
    granularityBytes: PAGE,
    alignmentBytes: PAGE,
    protection: 'data',
    sealed: true,
  },
  INITTEXT: text,
  INITDATA: data,
  INITRODATA: rodata,
};

/** real_types[i] = &base_types[mapto]. */
export function realType(table: SectionTable, type: SectionType): SectionType {
  const { mapTo } = table[type];
  assert(table[mapTo].mapTo === mapTo, `${type} is mapped to ${mapTo}, which is mapped on`);
  return mapTo;
}
