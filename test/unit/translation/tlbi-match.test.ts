/**
 * Promise: each TLBI form takes what the Arm ARM says and leaves the rest, as a table: one entry of
 * every kind is cached, each form is applied to it alone.
 */

import { describe, expect, test } from 'vitest';
import { Regime, Tlbi } from '../../../src/cpu/operations.ts';
import { packContext, regimeOf, VMID_MASK, vmidOf } from '../../../src/translation/context.ts';
import { TlbiMatch } from '../../../src/translation/tlbi-match.ts';

const VA = 0x40201000;
const HOST = packContext(Regime.Host, 0, 5);
const GUEST = packContext(Regime.Guest, 3, 5);

function decode(operation: Tlbi, regime: Regime, asid = 5, address = VA, pages = 1): TlbiMatch {
  const match = new TlbiMatch();
  match.set(operation, regime, 3, asid, 0, address, pages, 12);
  return match;
}

/** What of each kind goes; all at VA, 4K, VMID 3, ASID 5. */
function taken(match: TlbiMatch): string {
  const parts: string[] = [];
  if (match.matchesLeaf(HOST, -1, 0, VA, 12)) parts.push('host');
  if (match.matchesLeaf(HOST, VMID_MASK, 0, VA, 12)) parts.push('hostGlobal');
  if (match.matchesStage1Table(HOST, 0, VA, 21)) parts.push('hostTable');
  if (match.matchesLeaf(GUEST, -1, 0, VA, 12)) parts.push('guest');
  if (match.matchesLeaf(GUEST, VMID_MASK, 0, VA, 12)) parts.push('guestGlobal');
  if (match.matchesStage1Table(GUEST, 0, VA, 21)) parts.push('guestTable');
  if (match.matchesStage2(GUEST & VMID_MASK, 0, VA, 12)) parts.push('stage2');
  return parts.join(' ');
}

const ALL_HOST = 'host hostGlobal hostTable';
const ALL_GUEST = 'guest guestGlobal guestTable';

describe('what each form takes', () => {
  const table: readonly [keyof typeof Tlbi, string, string][] = [
    ['VaE1', ALL_HOST, ALL_GUEST],
    ['VaE1Is', ALL_HOST, ALL_GUEST],
    ['VaLE1Is', 'host hostGlobal', 'guest guestGlobal'],
    ['VaaE1Is', ALL_HOST, ALL_GUEST],
    ['RvaE1Is', ALL_HOST, ALL_GUEST],
    ['AsidE1Is', 'host hostTable', 'guest guestTable'],
    ['VmallE1', ALL_GUEST, ALL_GUEST],
    ['VmallE1Is', ALL_GUEST, ALL_GUEST],
    ['IpaS2E1', 'stage2', 'stage2'],
    ['IpaS2E1Is', 'stage2', 'stage2'],
    ['RipaS2E1Is', 'stage2', 'stage2'],
    ['VmallS12E1Is', `${ALL_GUEST} stage2`, `${ALL_GUEST} stage2`],
    ['AllE1Is', `${ALL_GUEST} stage2`, `${ALL_GUEST} stage2`],
    ['IcIalluIs', '', ''],
    ['IcIvau', '', ''],
    ['VmallHost', ALL_HOST, ALL_HOST],
    ['VmallHostIs', ALL_HOST, ALL_HOST],
  ];
  test('the table names every form', () => {
    expect(table.map(([name]) => name)).toEqual(Object.keys(Tlbi));
  });
  test.each(table)('%s issued by the host takes [%s], by the guest [%s]', (name, host, guest) => {
    expect(taken(decode(Tlbi[name], Regime.Host))).toBe(host);
    expect(taken(decode(Tlbi[name], Regime.Guest))).toBe(guest);
  });

  test('another ASID: only global entries go, unless the form takes every ASID', () => {
    expect(taken(decode(Tlbi.VaE1Is, Regime.Host, 6))).toBe('hostGlobal');
    expect(taken(decode(Tlbi.AsidE1Is, Regime.Host, 6))).toBe('');
    expect(taken(decode(Tlbi.VaaE1Is, Regime.Host, 6))).toBe(ALL_HOST);
  });

  test('another page: nothing; but a table entry above it and a range that ends in it go', () => {
    expect(taken(decode(Tlbi.VaE1Is, Regime.Host, 5, VA - 4096))).toBe('hostTable');
    expect(taken(decode(Tlbi.RvaE1Is, Regime.Host, 5, VA - 8192, 2))).toBe('hostTable');
    expect(taken(decode(Tlbi.RvaE1Is, Regime.Host, 5, VA - 8192, 3))).toBe(ALL_HOST);
    expect(taken(decode(Tlbi.RvaE1Is, Regime.Host, 5, VA, 0))).toBe('');
  });

  test('one address of a block takes all fragments that stage 1 maps by it', () => {
    const match = decode(Tlbi.VaE1Is, Regime.Guest, 5, 0x40200000);
    expect(match.matchesLeaf(GUEST, -1, 0, VA, 21)).toBe(true);
    expect(match.matchesLeaf(GUEST, -1, 0, VA, 12)).toBe(false);
  });

  test('a range over 4 GiB carries, one at the top of the address space ends there', () => {
    const match = new TlbiMatch();
    match.set(Tlbi.RvaE1Is, Regime.Host, 0, 5, 1, 0xfffff000 | 0, 2, 12);
    expect(match.matchesLeaf(HOST, -1, 2, 0, 12)).toBe(true);
    expect(match.matchesLeaf(HOST, -1, 2, 0x1000, 12)).toBe(false);
    match.set(Tlbi.RvaE1Is, Regime.Host, 0, 5, -1, 0xfffff000 | 0, 100, 12);
    expect(match.matchesLeaf(HOST, -1, -1, 0xfffff000 | 0, 12)).toBe(true);
    expect(match.matchesLeaf(HOST, -1, 0, 0, 12)).toBe(false);
  });

  test('guest forms with VMID 0, which is the host, take nothing', () => {
    const match = new TlbiMatch();
    match.set(Tlbi.VmallE1Is, Regime.Host, 0, 5, 0, 0, 1, 12);
    expect(taken(match)).toBe('');
    match.set(Tlbi.VmallS12E1Is, Regime.Host, 0, 5, 0, 0, 1, 12);
    expect(taken(match)).toBe('');
  });
});

describe('walks under way (ER-X2)', () => {
  const walk = (match: TlbiMatch, topShift: number, lowShift: number) =>
    match.matchesWalk(GUEST, 0, VA, topShift, lowShift);

  test('a walk that has read nothing goes on', () => {
    expect(walk(decode(Tlbi.VmallE1Is, Regime.Guest), 0, 0)).toBe(false);
  });

  test('any address under a table already read marks it, the last-level form only the leaf', () => {
    const far = 0x40000000;
    expect(walk(decode(Tlbi.VaE1Is, Regime.Guest, 5, far), 30, 12)).toBe(true);
    expect(walk(decode(Tlbi.VaLE1Is, Regime.Guest, 5, far), 30, 12)).toBe(false);
    expect(walk(decode(Tlbi.VaLE1Is, Regime.Guest, 5, VA), 30, 12)).toBe(true);
  });

  test('stage-2 forms of the VMID mark it, host forms and other ASIDs leave it', () => {
    expect(walk(decode(Tlbi.IpaS2E1Is, Regime.Host, 5, 0), 39, 12)).toBe(true);
    expect(walk(decode(Tlbi.VmallHostIs, Regime.Host), 39, 12)).toBe(false);
    expect(walk(decode(Tlbi.VaE1Is, Regime.Host), 39, 12)).toBe(false);
    expect(walk(decode(Tlbi.AsidE1Is, Regime.Guest, 6), 39, 12)).toBe(false);
  });
});

describe('context', () => {
  test('VMID 0 is the host, a guest has another one', () => {
    expect(regimeOf(HOST)).toBe(Regime.Host);
    expect([regimeOf(GUEST), vmidOf(GUEST)]).toEqual([Regime.Guest, 3]);
    expect(vmidOf(packContext(Regime.Guest, 0xffff, 0xffff))).toBe(0xffff);
    expect(packContext(Regime.Host, 7, 5)).toBe(HOST);
    expect(() => packContext(Regime.Guest, 0, 5)).toThrow('VMID 0');
  });
});
