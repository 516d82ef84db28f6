/**
 * Translation granules of VMSAv8-64 (Arm ARM D8.2): a table is one granule of 8-byte descriptors,
 * so page size, entries per table and the size that each level resolves follow from one shift.
 *
 * Levels are 0 to 3 here; level -1 (LPA2, 52-bit input) and level-1 blocks of 16K and 64K (52-bit
 * output) are not modelled: output addresses have 48 bits.
 */

import { assert } from '../base/assert.ts';

export interface Granule {
  /** log2 of the page size: 12, 14, 16. */
  readonly shift: number;
  /** log2 of the descriptors per table: 9, 11, 13. */
  readonly entriesShift: number;
}

export const GRANULE_4K: Granule = { shift: 12, entriesShift: 9 };
export const GRANULE_16K: Granule = { shift: 14, entriesShift: 11 };
export const GRANULE_64K: Granule = { shift: 16, entriesShift: 13 };

export const LAST_LEVEL = 3;
export const DESCRIPTOR_BYTES = 8;
/** At most 16 tables side by side at the start level of stage 2. */
const CONCATENATION_SHIFT_MAX = 4;

/** The granule of a page size in bytes (4096, 16384, 65536). */
export function granuleOfPageBytes(pageBytes: number): Granule {
  if (pageBytes === 4096) return GRANULE_4K;
  if (pageBytes === 16384) return GRANULE_16K;
  assert(pageBytes === 65536, `no granule has pages of ${pageBytes} bytes`);
  return GRANULE_64K;
}

export function granuleBytes(granule: Granule): number {
  return 2 ** granule.shift;
}

/** log2 of the bytes that one descriptor of a level covers. */
export function levelShift(granule: Granule, level: number): number {
  return granule.shift + (LAST_LEVEL - level) * granule.entriesShift;
}

/** Level at which a stage-1 walk starts for so many input address bits. */
export function startLevel(granule: Granule, inputBits: number): number {
  const levels = Math.ceil((inputBits - granule.shift) / granule.entriesShift);
  assert(inputBits <= 48 && levels >= 1 && levels <= 4, `no walk starts for ${inputBits} bits`);
  return LAST_LEVEL + 1 - levels;
}

/**
 * Start level of stage 2 as KVM chooses it (stage2_pgtable_levels, kvm_get_vtcr): up to 16
 * concatenated tables instead of one more level, and never fewer than 2 levels.
 */
export function stage2StartLevel(granule: Granule, ipaBits: number): number {
  const start = startLevel(granule, Math.max(ipaBits - CONCATENATION_SHIFT_MAX, granule.shift + 1));
  assert(ipaBits <= 48, `IPA of ${ipaBits} bits`);
  return Math.min(start, LAST_LEVEL - 1);
}

/** log2 of the number of tables side by side at the start level (0: an ordinary table). */
export function concatenationShift(granule: Granule, level: number, inputBits: number): number {
  return Math.max(0, inputBits - levelShift(granule, level) - granule.entriesShift);
}

/** May a block descriptor stand at this level? (Pages, at level 3, are no blocks.) */
export function isBlockLevel(granule: Granule, level: number): boolean {
  return level === 2 || (level === 1 && granule.shift === 12);
}

/** May a leaf (block or page) stand at this level? */
export function isLeafLevel(granule: Granule, level: number): boolean {
  return level === LAST_LEVEL || isBlockLevel(granule, level);
}

/** log2 of the entries in a contiguous group (CONT bit) of a level; 0 = no contiguous groups. */
export function contiguousShift(granule: Granule, level: number): number {
  if (!isLeafLevel(granule, level)) return 0;
  if (granule.shift === 12) return 4;
  if (granule.shift === 16) return 5;
  return level === LAST_LEVEL ? 7 : 5;
}

/** Bits of an address from `shift` upwards, as a signed 32-bit integer (higher bits are cut). */
export function addressBits(hi: number, lo: number, shift: number): number {
  return shift < 32 ? (lo >>> shift) | (hi << (32 - shift)) : hi >>> (shift - 32);
}

/** Index of the descriptor for an address inside one table of the level. */
export function tableIndex(granule: Granule, level: number, hi: number, lo: number): number {
  const shift = levelShift(granule, level);
  return addressBits(hi, lo, shift) & ((1 << granule.entriesShift) - 1);
}

/** As tableIndex at the start level: concatenated tables index on, narrow inputs index less. */
export function startIndex(
  granule: Granule,
  level: number,
  inputBits: number,
  hi: number,
  lo: number,
): number {
  const shift = levelShift(granule, level);
  return addressBits(hi, lo, shift) & ((1 << (inputBits - shift)) - 1);
}

/** Are the bits above the input size all zero (TTBR0, IPA) or all one (TTBR1)? */
export function isInputInRange(inputBits: number, hi: number): boolean {
  const above = hi >> (inputBits - 32);
  return above === 0 || above === -1;
}

/** Masks that clear an address' low `shift` bits: hi & sizeMaskHi, lo & sizeMaskLo. */
export function sizeMaskLo(shift: number): number {
  return shift < 32 ? -1 << shift : 0;
}

export function sizeMaskHi(shift: number): number {
  return shift > 32 ? -1 << (shift - 32) : -1;
}
