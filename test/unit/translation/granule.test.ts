/** Promise: granules have the levels, block sizes and contiguous groups of the Arm ARM (D8.2). */

import { describe, expect, test } from 'vitest';
import { GIB, KIB, MIB } from '../../../src/base/units.ts';
import {
  concatenationShift,
  contiguousShift,
  GRANULE_4K,
  GRANULE_16K,
  GRANULE_64K,
  type Granule,
  granuleOfPageBytes,
  isBlockLevel,
  isInputInRange,
  levelShift,
  sizeMaskHi,
  sizeMaskLo,
  stage2StartLevel,
  startIndex,
  startLevel,
  tableIndex,
} from '../../../src/translation/granule.ts';

const groupBytes = (granule: Granule, level: number): number =>
  2 ** (levelShift(granule, level) + contiguousShift(granule, level));

describe('granules', () => {
  test('sizes of pages and blocks by level', () => {
    expect([0, 1, 2, 3].map((n) => 2 ** levelShift(GRANULE_4K, n))).toEqual([
      512 * GIB,
      GIB,
      2 * MIB,
      4 * KIB,
    ]);
    expect([2, 3].map((n) => 2 ** levelShift(GRANULE_16K, n))).toEqual([32 * MIB, 16 * KIB]);
    expect([2, 3].map((n) => 2 ** levelShift(GRANULE_64K, n))).toEqual([512 * MIB, 64 * KIB]);
  });

  test('contiguous groups: 64K and 32M and 16G; 2M and 1G; 2M and 16G', () => {
    expect([3, 2, 1].map((n) => groupBytes(GRANULE_4K, n))).toEqual([64 * KIB, 32 * MIB, 16 * GIB]);
    expect([3, 2].map((n) => groupBytes(GRANULE_16K, n))).toEqual([2 * MIB, GIB]);
    expect([3, 2].map((n) => groupBytes(GRANULE_64K, n))).toEqual([2 * MIB, 16 * GIB]);
  });

  test('blocks stand at levels 1 and 2 with 4K, at level 2 alone with 16K and 64K', () => {
    const levels = (granule: Granule) => [0, 1, 2, 3].filter((n) => isBlockLevel(granule, n));
    expect(levels(GRANULE_4K)).toEqual([1, 2]);
    expect(levels(GRANULE_16K)).toEqual([2]);
    expect(levels(GRANULE_64K)).toEqual([2]);
  });

  test('start levels of stage 1', () => {
    expect(startLevel(GRANULE_4K, 48)).toBe(0);
    expect(startLevel(GRANULE_4K, 39)).toBe(1);
    expect(startLevel(GRANULE_16K, 48)).toBe(0);
    expect(startLevel(GRANULE_16K, 47)).toBe(1);
    expect(startLevel(GRANULE_64K, 48)).toBe(1);
    expect(startLevel(GRANULE_64K, 42)).toBe(2);
  });

  test('start levels of stage 2 as KVM chooses them, with concatenated tables', () => {
    expect(stage2StartLevel(GRANULE_4K, 40)).toBe(1);
    expect(concatenationShift(GRANULE_4K, 1, 40)).toBe(1);
    expect(stage2StartLevel(GRANULE_4K, 48)).toBe(0);
    expect(concatenationShift(GRANULE_4K, 0, 48)).toBe(0);
    expect(stage2StartLevel(GRANULE_16K, 48)).toBe(1);
    expect(concatenationShift(GRANULE_16K, 1, 48)).toBe(1);
    expect(stage2StartLevel(GRANULE_64K, 40)).toBe(2);
    // Never fewer than two levels, although level 3 alone would do.
    expect(stage2StartLevel(GRANULE_64K, 32)).toBe(2);
  });

  test('indices: inside a table, and over concatenated tables at the start', () => {
    expect(tableIndex(GRANULE_4K, 3, 0, 0x5000)).toBe(5);
    expect(tableIndex(GRANULE_4K, 2, 0, 0x7fe00000)).toBe(511);
    expect(tableIndex(GRANULE_4K, 1, 0x7f, 0xc0000000 | 0)).toBe(511);
    expect(tableIndex(GRANULE_4K, 0, 0xffff0080 | 0, 0)).toBe(1);
    expect(startIndex(GRANULE_4K, 1, 40, 0xff, 0xc0000000 | 0)).toBe(1023);
    expect(startIndex(GRANULE_16K, 0, 48, 0xffff8000 | 0, 0)).toBe(1);
  });

  test('an input is in range if all bits above it agree', () => {
    expect(isInputInRange(48, 0xffff0000 | 0)).toBe(true);
    expect(isInputInRange(48, 0xffff)).toBe(true);
    expect(isInputInRange(48, 0x10000)).toBe(false);
    expect(isInputInRange(40, 0x100)).toBe(false);
  });

  test('masks work on both sides of 32 bits', () => {
    expect([sizeMaskHi(12), sizeMaskLo(12)]).toEqual([-1, -4096]);
    expect([sizeMaskHi(32), sizeMaskLo(32)]).toEqual([-1, 0]);
    expect([sizeMaskHi(34), sizeMaskLo(34)]).toEqual([-4, 0]);
  });

  test('page sizes name granules', () => {
    expect(granuleOfPageBytes(16384)).toBe(GRANULE_16K);
    expect(() => granuleOfPageBytes(8192)).toThrow('no granule');
  });
});
