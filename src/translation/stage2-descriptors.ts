/**
 * Attributes of stage-2 leaf descriptors and KVM's encodings in invalid ones (Arm ARM D8.3.2;
 * Linux arch/arm64/kvm/hyp/pgtable.c, asm/kvm_pgtable.h).
 *
 * Deviation: of XN[54:53] (FEAT_XNX) only bit 54 is read: the guest has no exception levels here.
 */

import {
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
  PTE_AF,
  PTE_DBM_HI,
  PTE_SH_INNER,
  PTE_VALID,
} from './descriptors.ts';

/** lo: MemAttr [5:2], the attribute itself (no index). */
export const S2_MEMATTR_SHIFT = 2;
export const S2_MEMATTR_MASK = 0xf << 2;
export const S2_MEMATTR_NORMAL = 0xf;
export const S2_MEMATTR_NON_CACHEABLE = 0x5;
export const S2_MEMATTR_DEVICE_NGNRE = 0x1;
/** With FEAT_S2FWB: 6 forces write-back, 7 takes the stage-1 attribute. */
export const S2_MEMATTR_FWB_NORMAL = 6;
export const S2_MEMATTR_FWB_NON_CACHEABLE = 5;
export const S2_MEMATTR_FWB_DEVICE_NGNRE = 1;
export const S2_MEMATTR_FWB_FROM_STAGE1 = 7;

/** lo: S2AP, read and write independent of each other. */
export const S2_READ = 1 << 6;
export const S2_WRITE = 1 << 7;
/** hi: execute-never (bit 54). */
export const S2_XN_HI = 1 << 22;
/** The bits that relaxing permissions may change. */
export const S2_PERMISSION_MASK_LO = S2_READ | S2_WRITE;
export const S2_PERMISSION_MASK_HI = S2_XN_HI;

/** Invalid entry owned by a software walker between break and make (lo). */
export const KVM_INVALID_PTE_LOCKED = 1 << 10;
/** Invalid entry: id of the owner [9:2] (lo). */
export const KVM_INVALID_PTE_OWNER_SHIFT = 2;
export const KVM_INVALID_PTE_OWNER_MASK = 0xff << 2;

/** Attributes of a leaf of normal memory: access flag, inner shareable, PERM_* permissions. */
export function s2AttributesLo(permissions: number, fwb: boolean): number {
  const memAttr = fwb ? S2_MEMATTR_FWB_NORMAL : S2_MEMATTR_NORMAL;
  let lo = (memAttr << S2_MEMATTR_SHIFT) | PTE_SH_INNER | PTE_AF;
  if ((permissions & PERM_READ) !== 0) lo |= S2_READ;
  if ((permissions & PERM_WRITE) !== 0) lo |= S2_WRITE;
  return lo;
}

export function s2AttributesHi(permissions: number): number {
  return (permissions & PERM_EXEC) === 0 ? S2_XN_HI : 0;
}

export function s2MemAttr(lo: number): number {
  return (lo & S2_MEMATTR_MASK) >>> S2_MEMATTR_SHIFT;
}

/** Cacheable normal memory (what needs cache maintenance without FWB). */
export function s2IsCacheable(lo: number, fwb: boolean): boolean {
  return s2MemAttr(lo) === (fwb ? S2_MEMATTR_FWB_NORMAL : S2_MEMATTR_NORMAL);
}

/** PERM_* bits that a valid leaf grants. */
export function s2Permissions(hi: number, lo: number): number {
  let permissions = 0;
  if ((lo & S2_READ) !== 0) permissions |= PERM_READ;
  if ((lo & S2_WRITE) !== 0) permissions |= PERM_WRITE;
  else if ((hi & PTE_DBM_HI) !== 0) permissions |= PERM_DIRTY_PENDING;
  if ((hi & S2_XN_HI) === 0) permissions |= PERM_EXEC;
  return permissions;
}

/** Permissions of a combined entry: what both stages grant. */
export function combinePermissions(stage1: number, stage2: number): number {
  const shared = stage1 & stage2 & (PERM_READ | PERM_WRITE | PERM_EXEC);
  // Dirty state is pending while one stage waits for it and the other would allow the write.
  const writable = PERM_WRITE | PERM_DIRTY_PENDING;
  const pending =
    (shared & PERM_WRITE) === 0 && (stage1 & writable) !== 0 && (stage2 & writable) !== 0;
  return (
    shared | (stage1 & ~(PERM_READ | writable | PERM_EXEC)) | (pending ? PERM_DIRTY_PENDING : 0)
  );
}

/** Held by a software walker: no hardware walk passes it, no other walker may change it. */
export function isLockedInvalid(lo: number): boolean {
  return (lo & (KVM_INVALID_PTE_LOCKED | PTE_VALID)) === KVM_INVALID_PTE_LOCKED;
}

/** Does the page refcount of the table count this entry? (stage2_pte_is_counted: any nonzero.) */
export function isCounted(hi: number, lo: number): boolean {
  return (hi | lo) !== 0;
}

export function invalidOwnerLo(owner: number): number {
  return (owner << KVM_INVALID_PTE_OWNER_SHIFT) & KVM_INVALID_PTE_OWNER_MASK;
}

export function ownerOfInvalid(lo: number): number {
  return (lo & KVM_INVALID_PTE_OWNER_MASK) >>> KVM_INVALID_PTE_OWNER_SHIFT;
}
