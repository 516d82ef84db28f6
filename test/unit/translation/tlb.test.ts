/** Promise: directed cases of TLB and walk cache that random sequences reach rarely. */

import { describe, expect, test } from 'vitest';
import { Regime, Tlbi } from '../../../src/cpu/operations.ts';
import { packContext } from '../../../src/translation/context.ts';
import { GRANULE_4K } from '../../../src/translation/granule.ts';
import { Tlb } from '../../../src/translation/tlb.ts';
import { TlbiMatch } from '../../../src/translation/tlbi-match.ts';
import { WalkCache } from '../../../src/translation/walk-cache.ts';

const HOST = packContext(Regime.Host, 0, 1);
const GUEST = packContext(Regime.Guest, 4, 1);
const STAGE2 = packContext(Regime.Guest, 4, 0);

function insertPage(tlb: Tlb, page: number, context = HOST): number {
  return tlb.insert(context, false, 0, page << 12, 12, 0, 0, 0, 0, page << 12, 3);
}

describe('TLB', () => {
  test('evicts the least recently used of 48, looked up or not', () => {
    const tlb = new Tlb(48, 0);
    for (let page = 0; page < 48; page++) insertPage(tlb, page);
    expect(tlb.generation).toBe(0);
    tlb.lookup(HOST, 0, 0);
    insertPage(tlb, 100);
    expect(tlb.find(HOST, 0, 0)).toBeGreaterThanOrEqual(0);
    expect(tlb.find(HOST, 0, 1 << 12)).toBe(-1);
    expect(tlb.generation).toBe(1);
  });

  test('find leaves the order of use alone, lookup does not', () => {
    const tlb = new Tlb(2, 0);
    insertPage(tlb, 1);
    insertPage(tlb, 2);
    tlb.find(HOST, 0, 1 << 12);
    insertPage(tlb, 3);
    expect(tlb.find(HOST, 0, 1 << 12)).toBe(-1);
  });

  test('a nested entry has the smaller of its two sizes and bases cut to it', () => {
    const tlb = new Tlb(4, 0);
    const va = 0x40212345;
    const i = tlb.insert(GUEST, false, 0, va, 21, 12, 0, va + 0x200000, 7, 0x5345, 3);
    expect([tlb.sizeShift(i), tlb.stage1Shift(i), tlb.stage2Shift(i)]).toEqual([12, 21, 12]);
    expect([tlb.vaLo(i), tlb.ipaLo(i), tlb.paHi(i), tlb.paLo(i)]).toEqual([
      0x40212000, 0x40412000, 7, 0x5000,
    ]);
    expect(tlb.lookup(GUEST, 0, 0x40213000)).toBe(-1);
    const other = tlb.insert(GUEST, false, 0, 0x80000000 | 0, 12, 21, 0, 0x3000, 0, 0x3000, 3);
    expect(tlb.sizeShift(other)).toBe(12);
  });

  test('the front does not outlive an entry, nor answer for another tag', () => {
    const tlb = new Tlb(4, 0);
    insertPage(tlb, 1);
    expect(tlb.lookup(HOST, 0, 0x1000)).toBeGreaterThanOrEqual(0);
    expect(tlb.lookup(GUEST, 0, 0x1000)).toBe(-1);
    const match = new TlbiMatch();
    match.set(Tlbi.VaE1, Regime.Host, 0, 1, 0, 0x1000, 1, 12);
    expect(tlb.invalidate(match)).toBe(1);
    expect(tlb.lookup(HOST, 0, 0x1000)).toBe(-1);
  });

  test('a global entry answers for every ASID of its regime alone', () => {
    const tlb = new Tlb(4, 0);
    tlb.insert(HOST, true, -65536, 0, 30, 0, 0, 0, 0, 0, 3);
    expect(tlb.lookup(packContext(Regime.Host, 0, 99), -65536, 0x1234)).toBeGreaterThanOrEqual(0);
    expect(tlb.lookup(GUEST, -65536, 0x1234)).toBe(-1);
  });

  test('a shape that cannot be is refused', () => {
    expect(() => new Tlb(10, 4)).toThrow('10 entries');
  });
});

describe('walk cache', () => {
  test('gives the deepest table, of the stage that is asked for', () => {
    const cache = new WalkCache(4);
    cache.insert(1, GUEST, GRANULE_4K, 1, 0, 0x40000000, 0, 0x11000);
    cache.insert(1, GUEST, GRANULE_4K, 2, 0, 0x40200000, 0, 0x12000);
    cache.insert(2, STAGE2, GRANULE_4K, 2, 0, 0x40200000, 0, 0x13000);
    expect(cache.lookupDeepest(1, GUEST, 0, 0x40201000, 0)).toBe(2);
    expect(cache.tableLo).toBe(0x12000);
    expect(cache.lookupDeepest(1, GUEST, 0, 0x40401000, 0)).toBe(1);
    expect(cache.lookupDeepest(2, STAGE2, 0, 0x40201000, 0)).toBe(2);
    expect(cache.tableLo).toBe(0x13000);
    expect(cache.lookupDeepest(1, HOST, 0, 0x40201000, 0)).toBe(-1);
  });

  test('a flush by IPA takes IPA entries and stage-2 tables, and leaves the stage-1 tables', () => {
    const cache = new WalkCache(4);
    cache.insert(1, GUEST, GRANULE_4K, 2, 0, 0x40200000, 0, 0x12000);
    cache.insert(2, STAGE2, GRANULE_4K, 2, 0, 0x40200000, 0, 0x13000);
    cache.insertIpa(STAGE2, 0, 0x40201000, 12, 0, 0x99000, 3);
    const match = new TlbiMatch();
    match.set(Tlbi.IpaS2E1Is, Regime.Host, 4, 0, 0, 0x40201000, 1, 12);
    expect(cache.invalidate(match)).toBe(2);
    expect(cache.lookupIpa(STAGE2, 0, 0x40201000)).toBe(-1);
    expect(cache.lookupDeepest(1, GUEST, 0, 0x40201000, 0)).toBe(2);
    match.set(Tlbi.VmallE1Is, Regime.Host, 4, 0, 0, 0, 1, 12);
    expect(cache.invalidate(match)).toBe(1);
  });
});
