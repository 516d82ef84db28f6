/**
 * Leaf entries of user pages (Linux arch/arm64/include/asm/pgtable.h, include/linux/mm.h: mk_pte,
 * pte_mkwrite, pte_mkdirty). A software bit marks pages that the page cache owns, so that zapping
 * knows what to give back; Linux looks at the struct page for that.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { leafDescriptorHi, leafDescriptorLo } from '../../translation/descriptors.ts';
import {
  S1_READ_ONLY,
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
  S1_USER_READ_ONLY_HI,
  S1_USER_READ_ONLY_LO,
} from '../../translation/stage1-descriptors.ts';

/** Software bits (55 and 56): the page belongs to a file; it is the zero page (pte_special). */
export const LEAF_FILE_HI = 1 << 23;
export const LEAF_SPECIAL_HI = 1 << 24;

export function isWritable(lo: number): boolean {
  return (lo & S1_READ_ONLY) === 0;
}

/** Stores a leaf; `software`: LEAF_* bits. The caller holds the table's lock. */
export function* setLeaf(
  cpu: Cpu,
  entryHi: number,
  entryLo: number,
  paHi: number,
  paLo: number,
  level: number,
  writable: boolean,
  software = 0,
): Program {
  const attributesHi = (writable ? S1_USER_DATA_HI : S1_USER_READ_ONLY_HI) | software;
  const attributesLo = writable ? S1_USER_DATA_LO : S1_USER_READ_ONLY_LO;
  const hi = leafDescriptorHi(paHi, attributesHi);
  const lo = leafDescriptorLo(paLo, attributesLo, level);
  while (!cpu.store64(entryHi, entryLo, hi, lo, Order.Release)) yield;
}
