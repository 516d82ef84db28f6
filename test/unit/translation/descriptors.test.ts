/** Promise: the encodings that KVM and Linux rely on, value by value (pgtable.c). */

import { describe, expect, test } from 'vitest';
import {
  isBlockOrPage,
  isTable,
  isValid,
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_USER,
  PERM_WRITE,
} from '../../../src/translation/descriptors.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
  S1_KERNEL_TEXT_HI,
  S1_KERNEL_TEXT_LO,
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
  S1_USER_TEXT_HI,
  S1_USER_TEXT_LO,
  s1IsGlobal,
  s1Permissions,
} from '../../../src/translation/stage1-descriptors.ts';
import {
  combinePermissions,
  invalidOwnerLo,
  isCounted,
  isLockedInvalid,
  KVM_INVALID_PTE_LOCKED,
  ownerOfInvalid,
  s2AttributesLo,
} from '../../../src/translation/stage2-descriptors.ts';

describe('descriptors', () => {
  test('types: table, block, page, and the reserved level-3 encoding', () => {
    expect([isTable(3, 2), isBlockOrPage(3, 2)]).toEqual([true, false]);
    expect([isTable(1, 2), isBlockOrPage(1, 2)]).toEqual([false, true]);
    expect([isTable(3, 3), isBlockOrPage(3, 3)]).toEqual([false, true]);
    expect([isTable(1, 3), isBlockOrPage(1, 3)]).toEqual([false, false]);
    expect([isTable(2, 2), isBlockOrPage(2, 2), isValid(2)]).toEqual([false, false, false]);
  });

  test('a locked entry is bit 10 of an invalid one, an access flag is not a lock', () => {
    expect(KVM_INVALID_PTE_LOCKED).toBe(0x400);
    expect(isLockedInvalid(0x400)).toBe(true);
    expect(isLockedInvalid(0x401)).toBe(false);
    expect(isValid(KVM_INVALID_PTE_LOCKED)).toBe(false);
    expect([isCounted(0, 0x400), isCounted(1 << 20, 0), isCounted(0, 0)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('the owner of an invalid entry is bits 9 to 2', () => {
    expect(invalidOwnerLo(1)).toBe(4);
    expect(ownerOfInvalid(invalidOwnerLo(255))).toBe(255);
    expect(isLockedInvalid(invalidOwnerLo(255))).toBe(false);
  });

  test('ready-made kernel and user attributes grant what their names say', () => {
    expect(s1Permissions(S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO)).toBe(PERM_READ | PERM_WRITE);
    expect(s1Permissions(S1_KERNEL_TEXT_HI, S1_KERNEL_TEXT_LO)).toBe(PERM_READ | PERM_EXEC);
    expect(s1Permissions(S1_USER_DATA_HI, S1_USER_DATA_LO)).toBe(
      PERM_READ | PERM_WRITE | PERM_USER,
    );
    expect(s1Permissions(S1_USER_TEXT_HI, S1_USER_TEXT_LO)).toBe(PERM_READ | PERM_EXEC | PERM_USER);
    expect([s1IsGlobal(S1_KERNEL_DATA_LO), s1IsGlobal(S1_USER_DATA_LO)]).toEqual([true, false]);
  });

  test('normal stage-2 memory, writable: 0x7fc without FWB, 0x7d8 with', () => {
    expect(s2AttributesLo(PERM_READ | PERM_WRITE, false)).toBe(0x7fc);
    expect(s2AttributesLo(PERM_READ | PERM_WRITE, true)).toBe(0x7d8);
  });

  test('dirty state is pending only if no stage forbids the write', () => {
    const clean = PERM_READ | PERM_DIRTY_PENDING;
    const writable = PERM_READ | PERM_WRITE;
    expect(combinePermissions(writable, clean)).toBe(clean);
    expect(combinePermissions(clean, clean)).toBe(clean);
    expect(combinePermissions(PERM_READ, clean)).toBe(PERM_READ);
    expect(combinePermissions(clean, PERM_READ)).toBe(PERM_READ);
    expect(combinePermissions(writable | PERM_USER, writable)).toBe(writable | PERM_USER);
  });
});
