/**
 * Attributes of stage-1 leaf descriptors (Arm ARM D8.3.1; Linux pgtable-hwdef.h, pgtable-prot.h).
 *
 * Deviation: the emulated CPU knows translation regimes, not exception levels inside one. So the
 * page itself decides whose execute-never bit counts: UXN if it is a user page (AP[1]), else PXN.
 */

import {
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_USER,
  PERM_WRITE,
  PTE_AF,
  PTE_DBM_HI,
  PTE_SH_INNER,
} from './descriptors.ts';

/** lo: index into MAIR [4:2]. Linux: 0 Normal, 1 tagged, 2 non-cacheable, 3 nGnRnE, 4 nGnRE. */
export const S1_ATTRIBUTE_SHIFT = 2;
export const S1_ATTRIBUTE_MASK = 7 << 2;
export const MemoryAttribute = {
  Normal: 0,
  NormalTagged: 1,
  NormalNonCacheable: 2,
  DeviceNGnRnE: 3,
  DeviceNGnRE: 4,
} as const;
export type MemoryAttribute = (typeof MemoryAttribute)[keyof typeof MemoryAttribute];

/** lo: AP[1], accessible to EL0. */
export const S1_USER = 1 << 6;
/** lo: AP[2], read-only. */
export const S1_READ_ONLY = 1 << 7;
/** lo: nG, the translation belongs to one ASID. */
export const S1_NOT_GLOBAL = 1 << 11;
/** hi: privileged execute-never (bit 53). */
export const S1_PXN_HI = 1 << 21;
/** hi: unprivileged execute-never (bit 54). */
export const S1_UXN_HI = 1 << 22;

/** Ready-made attributes (lo and hi), access flag set, inner shareable, Normal memory. */
const NORMAL_LO = PTE_AF | PTE_SH_INNER;
/** PAGE_KERNEL: global, writable, never executable. */
export const S1_KERNEL_DATA_LO = NORMAL_LO;
export const S1_KERNEL_DATA_HI = PTE_DBM_HI | S1_PXN_HI | S1_UXN_HI;
/** PAGE_KERNEL_RO. */
export const S1_KERNEL_READ_ONLY_LO = NORMAL_LO | S1_READ_ONLY;
export const S1_KERNEL_READ_ONLY_HI = S1_PXN_HI | S1_UXN_HI;
/** PAGE_KERNEL_ROX: kernel text. */
export const S1_KERNEL_TEXT_LO = NORMAL_LO | S1_READ_ONLY;
export const S1_KERNEL_TEXT_HI = S1_UXN_HI;
/** PAGE_SHARED: a user page, one ASID, writable and dirty. */
export const S1_USER_DATA_LO = NORMAL_LO | S1_USER | S1_NOT_GLOBAL;
export const S1_USER_DATA_HI = PTE_DBM_HI | S1_PXN_HI | S1_UXN_HI;
/** PAGE_READONLY. */
export const S1_USER_READ_ONLY_LO = S1_USER_DATA_LO | S1_READ_ONLY;
export const S1_USER_READ_ONLY_HI = S1_PXN_HI | S1_UXN_HI;
/** PAGE_READONLY_EXEC: user text. */
export const S1_USER_TEXT_LO = S1_USER_DATA_LO | S1_READ_ONLY;
export const S1_USER_TEXT_HI = S1_PXN_HI;

export function s1AttributeIndex(lo: number): number {
  return (lo & S1_ATTRIBUTE_MASK) >>> S1_ATTRIBUTE_SHIFT;
}

export function s1IsGlobal(lo: number): boolean {
  return (lo & S1_NOT_GLOBAL) === 0;
}

export function s1IsUser(lo: number): boolean {
  return (lo & S1_USER) !== 0;
}

/** PERM_* bits that a valid leaf grants. */
export function s1Permissions(hi: number, lo: number): number {
  let permissions = PERM_READ;
  if ((lo & S1_READ_ONLY) === 0) permissions |= PERM_WRITE;
  else if ((hi & PTE_DBM_HI) !== 0) permissions |= PERM_DIRTY_PENDING;
  const user = (lo & S1_USER) !== 0;
  if (user) permissions |= PERM_USER;
  if ((hi & (user ? S1_UXN_HI : S1_PXN_HI)) === 0) permissions |= PERM_EXEC;
  return permissions;
}
