/**
 * Promise: descriptors have the bit layout of VMSAv8-64. Method: each descriptor is also composed
 * as one 64-bit BigInt from the bit numbers in the Arm ARM, and fields are read back from it.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isBlockOrPage,
  isContiguous,
  isTable,
  isValid,
  leafAttributesHi,
  leafAttributesLo,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
  PERM_EXEC,
  PERM_READ,
  PERM_USER,
  PERM_WRITE,
  PTE_AF,
  PTE_CONT_HI,
  PTE_DBM_HI,
  PTE_SH_INNER,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../src/translation/descriptors.ts';
import {
  GRANULE_4K,
  GRANULE_16K,
  GRANULE_64K,
  isLeafLevel,
  levelShift,
} from '../../src/translation/granule.ts';
import {
  S1_NOT_GLOBAL,
  S1_PXN_HI,
  S1_READ_ONLY,
  S1_USER,
  S1_UXN_HI,
  s1AttributeIndex,
  s1IsGlobal,
  s1Permissions,
} from '../../src/translation/stage1-descriptors.ts';
import {
  combinePermissions,
  s2AttributesHi,
  s2AttributesLo,
  s2IsCacheable,
  s2MemAttr,
  s2Permissions,
} from '../../src/translation/stage2-descriptors.ts';

const word = (hi: number, lo: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
const hiOf = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));
const loOf = (value: bigint): number => Number(BigInt.asIntN(32, value));
const bit = (on: boolean, n: number): bigint => (on ? 1n << BigInt(n) : 0n);

const granule = fc.constantFrom(GRANULE_4K, GRANULE_16K, GRANULE_64K);
const place = fc
  .record({
    granule,
    level: fc.integer({ min: 1, max: 3 }),
    address: fc.bigInt(0n, 2n ** 48n - 1n),
  })
  .filter(({ granule, level }) => isLeafLevel(granule, level))
  .map(({ granule, level, address }) => {
    const shift = BigInt(levelShift(granule, level));
    return { granule, level, address: (address >> shift) << shift };
  });

describe('descriptor layout', () => {
  test('stage-1 leaf: every field at its bit, address and attributes read back', () => {
    const fields = fc.record({
      place,
      index: fc.integer({ min: 0, max: 7 }),
      user: fc.boolean(),
      readOnly: fc.boolean(),
      notGlobal: fc.boolean(),
      dbm: fc.boolean(),
      contiguous: fc.boolean(),
      pxn: fc.boolean(),
      uxn: fc.boolean(),
    });
    fc.assert(
      fc.property(fields, (f) => {
        const { granule, level, address } = f.place;
        const attributesLo =
          (f.index << 2) |
          (f.user ? S1_USER : 0) |
          (f.readOnly ? S1_READ_ONLY : 0) |
          (f.notGlobal ? S1_NOT_GLOBAL : 0) |
          PTE_SH_INNER |
          PTE_AF;
        const attributesHi =
          (f.dbm ? PTE_DBM_HI : 0) |
          (f.contiguous ? PTE_CONT_HI : 0) |
          (f.pxn ? S1_PXN_HI : 0) |
          (f.uxn ? S1_UXN_HI : 0);
        const hi = leafDescriptorHi(hiOf(address), attributesHi);
        const lo = leafDescriptorLo(loOf(address), attributesLo, level);
        const expected =
          address |
          (level === 3 ? 3n : 1n) |
          (BigInt(f.index) << 2n) |
          bit(f.user, 6) |
          bit(f.readOnly, 7) |
          (3n << 8n) |
          bit(true, 10) |
          bit(f.notGlobal, 11) |
          bit(f.dbm, 51) |
          bit(f.contiguous, 52) |
          bit(f.pxn, 53) |
          bit(f.uxn, 54);
        expect(word(hi, lo)).toBe(expected);
        const shift = levelShift(granule, level);
        expect(word(outputHi(hi, shift), outputLo(lo, shift))).toBe(address);
        expect(leafAttributesHi(hi)).toBe(attributesHi);
        expect(leafAttributesLo(lo)).toBe(attributesLo);
        expect(isValid(lo) && isBlockOrPage(lo, level) && !isTable(lo, level)).toBe(true);
        expect(isContiguous(hi)).toBe(f.contiguous);
        expect(s1AttributeIndex(lo)).toBe(f.index);
        expect(s1IsGlobal(lo)).toBe(!f.notGlobal);
        const permissions = s1Permissions(hi, lo);
        expect((permissions & PERM_WRITE) !== 0).toBe(!f.readOnly);
        expect((permissions & PERM_USER) !== 0).toBe(f.user);
        expect((permissions & PERM_EXEC) !== 0).toBe(!(f.user ? f.uxn : f.pxn));
      }),
    );
  });

  test('stage-2 leaf: permissions and memory attribute survive, with and without FWB', () => {
    const fields = fc.record({
      place,
      permissions: fc.integer({ min: 0, max: 7 }),
      fwb: fc.boolean(),
    });
    fc.assert(
      fc.property(fields, ({ place: { granule, level, address }, permissions, fwb }) => {
        const hi = leafDescriptorHi(hiOf(address), s2AttributesHi(permissions));
        const lo = leafDescriptorLo(loOf(address), s2AttributesLo(permissions, fwb), level);
        const expected =
          address |
          (level === 3 ? 3n : 1n) |
          ((fwb ? 6n : 0xfn) << 2n) |
          bit((permissions & PERM_READ) !== 0, 6) |
          bit((permissions & PERM_WRITE) !== 0, 7) |
          (3n << 8n) |
          bit(true, 10) |
          bit((permissions & PERM_EXEC) === 0, 54);
        expect(word(hi, lo)).toBe(expected);
        expect(s2Permissions(hi, lo)).toBe(permissions);
        expect(s2MemAttr(lo)).toBe(fwb ? 6 : 0xf);
        expect(s2IsCacheable(lo, fwb)).toBe(true);
        const shift = levelShift(granule, level);
        expect(word(outputHi(hi, shift), outputLo(lo, shift))).toBe(address);
      }),
    );
  });

  test('table descriptor: type, address, never taken for a leaf above level 3', () => {
    const fields = fc.record({
      granule,
      level: fc.integer({ min: 0, max: 2 }),
      address: fc.bigInt(0n, 2n ** 48n - 1n),
    });
    fc.assert(
      fc.property(fields, ({ granule, level, address }) => {
        const shift = BigInt(granule.shift);
        const base = (address >> shift) << shift;
        const hi = tableDescriptorHi(hiOf(base));
        const lo = tableDescriptorLo(loOf(base));
        expect(word(hi, lo)).toBe(base | 3n);
        expect(isTable(lo, level)).toBe(true);
        expect(isBlockOrPage(lo, level)).toBe(false);
        expect(word(outputHi(hi, granule.shift), outputLo(lo, granule.shift))).toBe(base);
      }),
    );
  });

  test('combined permissions grant only what both stages grant', () => {
    const mask = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(mask, mask, (a, b) => {
        expect(combinePermissions(a, b) & 7).toBe(a & b);
      }),
    );
  });
});
