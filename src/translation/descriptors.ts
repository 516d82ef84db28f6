/**
 * VMSAv8-64 descriptors, what both stages share (Arm ARM D8.3; Linux pgtable-hwdef.h,
 * kvm_pgtable.h).
 * A descriptor is a pair of signed 32-bit halves (hi, lo): bit n >= 32 is bit n - 32 of hi.
 *
 * Deviations: 48-bit output addresses only (no 52-bit encodings), no hierarchical permissions in
 * table descriptors (Linux sets none that restrict), software bits are kept but mean nothing.
 */

import { LAST_LEVEL, sizeMaskHi, sizeMaskLo } from './granule.ts';

/** lo: the descriptor is valid. */
export const PTE_VALID = 1;
/** lo: table (levels 0-2) or page (level 3); clear in a valid entry: block. */
export const PTE_TYPE_TABLE = 1 << 1;
/** lo: shareability [9:8], 3 = inner shareable. */
export const PTE_SH_INNER = 3 << 8;
export const PTE_SH_MASK = 3 << 8;
/** lo: access flag; a leaf without it faults and is never cached. */
export const PTE_AF = 1 << 10;
/** lo: nT, a block that must not be cached as a block (FEAT_BBM level 1). */
export const PTE_NT = 1 << 16;
/** hi: dirty bit modifier (bit 51); Linux calls it PTE_WRITE. */
export const PTE_DBM_HI = 1 << 19;
/** hi: contiguous hint (bit 52). */
export const PTE_CONT_HI = 1 << 20;
/** hi: bits for software [58:55]. */
export const PTE_SOFTWARE_MASK_HI = 0xf << 23;

const ADDRESS_MASK_HI = 0xffff;

/** Permission bits of a translation, as TLBs hold them. */
export const PERM_READ = 1;
export const PERM_WRITE = 2;
export const PERM_EXEC = 4;
/** Accessible to EL0 (AP[1]). */
export const PERM_USER = 8;
/** Not writable yet, but hardware may set the dirty state (DBM set, writable-clean). */
export const PERM_DIRTY_PENDING = 16;
/** What stage 2 can restrict. */
export const PERM_ACCESS_MASK = PERM_READ | PERM_WRITE | PERM_EXEC;

export function isValid(lo: number): boolean {
  return (lo & PTE_VALID) !== 0;
}

export function isTable(lo: number, level: number): boolean {
  return (lo & 3) === 3 && level < LAST_LEVEL;
}

/** A leaf; a valid level-3 entry with bit 1 clear is reserved and counts as invalid. */
export function isBlockOrPage(lo: number, level: number): boolean {
  return (lo & 3) === (level === LAST_LEVEL ? 3 : 1);
}

export function hasAccessFlag(lo: number): boolean {
  return (lo & PTE_AF) !== 0;
}

export function isContiguous(hi: number): boolean {
  return (hi & PTE_CONT_HI) !== 0;
}

export function hasDirtyModifier(hi: number): boolean {
  return (hi & PTE_DBM_HI) !== 0;
}

/** Address in a descriptor: `shift` is the level's for a leaf, the granule's for a table. */
export function outputHi(hi: number, shift: number): number {
  return hi & ADDRESS_MASK_HI & sizeMaskHi(shift);
}

export function outputLo(lo: number, shift: number): number {
  return lo & sizeMaskLo(shift);
}

/** Table descriptor pointing to a table at a granule-aligned physical address (or IPA). */
export function tableDescriptorHi(paHi: number): number {
  return paHi & ADDRESS_MASK_HI;
}

export function tableDescriptorLo(paLo: number): number {
  return paLo | PTE_TYPE_TABLE | PTE_VALID;
}

/** Leaf for an output address aligned to the level's size; attributes from stage 1 or stage 2. */
export function leafDescriptorHi(paHi: number, attributesHi: number): number {
  return (paHi & ADDRESS_MASK_HI) | attributesHi;
}

export function leafDescriptorLo(paLo: number, attributesLo: number, level: number): number {
  return paLo | attributesLo | (level === LAST_LEVEL ? PTE_TYPE_TABLE | PTE_VALID : PTE_VALID);
}

/** Attribute bits of a leaf: everything but address, type and validity. */
export function leafAttributesHi(hi: number): number {
  return hi & ~ADDRESS_MASK_HI;
}

/** Low attribute bits [11:2] (nT apart). */
export function leafAttributesLo(lo: number): number {
  return lo & 0xffc;
}
