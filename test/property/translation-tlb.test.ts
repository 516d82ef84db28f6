/**
 * Promise: the TLB holds exactly what a TLB of that size with true LRU would hold, for all page
 * sizes mixed, and a TLBI takes exactly the entries that the Arm ARM names. Method: random
 * sequences of lookups, insertions and invalidations against the naive one (translation-naive.ts),
 * whole contents compared after each step.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Regime, Tlbi } from '../../src/cpu/operations.ts';
import { packContext } from '../../src/translation/context.ts';
import { Tlb, TlbKind } from '../../src/translation/tlb.ts';
import { TlbiMatch } from '../../src/translation/tlbi-match.ts';
import { NaiveTlb, type NaiveTlbi } from './translation-naive.ts';

const SHIFTS = [12, 12, 12, 14, 16, 21, 25, 29, 30, 34];
const hiOf = (address: bigint): number => Number(BigInt.asIntN(32, address >> 32n));
const loOf = (address: bigint): number => Number(BigInt.asIntN(32, address));

/** The last 8 MiB: ranges from here on run into the end of the address space. */
const TOP = 0xffffffff_ff800000n;

/** Few distinct addresses, so that sequences hit, overlap and conflict; low and high half. */
const address = fc
  .record({
    half: fc.constantFrom(0n, 0n, 0xffff0000_00000000n, TOP),
    region: fc.constantFrom(0n, 1n, 5n),
    block: fc.integer({ min: 0, max: 3 }),
    page: fc.integer({ min: 0, max: 9 }),
    offset: fc.constantFrom(0n, 8n, 4095n),
  })
  .map(
    ({ half, region, block, page, offset }) =>
      half +
      (half === TOP ? 0n : region << 34n) +
      (BigInt(block) << 21n) +
      (BigInt(page) << 12n) +
      offset,
  );

const tag = fc.record({
  regime: fc.constantFrom(Regime.Host, Regime.Guest),
  vmid: fc.constantFrom(1, 2, 65),
  asid: fc.constantFrom(0, 1, 9),
});

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('lookup' as const), tag, address }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      tag,
      address,
      global: fc.boolean(),
      stage1Shift: fc.constantFrom(...SHIFTS),
      stage2Shift: fc.constantFrom(0, 0, 0, 12, 21),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('tlbi' as const),
      tag,
      address,
      operation: fc.constantFrom(
        ...Object.values(Tlbi),
        Tlbi.VaE1Is,
        Tlbi.IpaS2E1,
        Tlbi.IpaS2E1Is,
        Tlbi.RvaE1Is,
      ),
      pages: fc.constantFrom(1, 2, 16, 512, 100_000),
      granuleShift: fc.constantFrom(12, 12, 14, 16),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function contents(tlb: Tlb): string[] {
  const lines: string[] = [];
  for (let k = 0; k < tlb.validCount; k++) {
    const i = tlb.valid[k]!;
    const base = (BigInt(tlb.vaHi(i)) << 32n) | BigInt(tlb.vaLo(i) >>> 0);
    const output = (BigInt(tlb.paHi(i)) << 32n) | BigInt(tlb.paLo(i) >>> 0);
    lines.push(
      [
        tlb.context(i),
        tlb.contextMask(i) !== -1,
        BigInt.asUintN(64, base),
        tlb.sizeShift(i),
        output,
      ].join(),
    );
  }
  return lines.sort();
}

class Pair {
  readonly tlb: Tlb;
  readonly naive: NaiveTlb;
  readonly match = new TlbiMatch();
  time = 0;

  constructor(kind: TlbKind, entries: number, ways: number) {
    this.tlb = new Tlb(entries, ways, kind);
    this.naive = new NaiveTlb(kind === TlbKind.Combined ? 'combined' : 'stage2', entries, ways);
  }

  run(step: Step): void {
    this.time++;
    if (step.do === 'lookup') this.#lookup(step);
    else if (step.do === 'insert') this.#insert(step);
    else this.#invalidate(step);
    expect(this.tlb.validCount).toBe(this.naive.entries.length);
    const expected = this.naive.entries.map((entry) =>
      [this.#context(entry), entry.global, entry.base, entry.shift, entry.output].join(),
    );
    expect(contents(this.tlb)).toEqual(expected.sort());
  }

  #context(entry: { regime: Regime; vmid: number; asid: number }): number {
    return packContext(entry.regime, entry.regime === Regime.Host ? 0 : entry.vmid, entry.asid);
  }

  #lookup({ tag, address }: Step & { do: 'lookup' }): void {
    const ours = this.#tagOf(tag);
    const i = this.tlb.lookup(this.#context(ours), hiOf(address), loOf(address));
    const expected = this.naive.lookup(ours.regime, ours.vmid, ours.asid, address);
    expect(i >= 0).toBe(expected !== undefined);
    if (expected === undefined) return;
    expect(this.tlb.vaLo(i)).toBe(loOf(expected.base));
    expect(this.tlb.paHi(i)).toBe(hiOf(expected.output));
    expect(this.tlb.sizeShift(i)).toBe(expected.shift);
  }

  #insert(step: Step & { do: 'insert' }): void {
    const ours = this.#tagOf(step.tag);
    const stage2 = this.tlb.kind === TlbKind.Stage2Only;
    const global = !stage2 && step.global;
    const stage2Shift = stage2 || ours.regime === Regime.Host ? 0 : step.stage2Shift;
    const { address, stage1Shift } = step;
    const output = (BigInt.asUintN(48, address) + (BigInt(this.time) << 40n)) & 0xffff_ffffffffn;
    const shift = stage2Shift === 0 ? stage1Shift : Math.min(stage1Shift, stage2Shift);
    const size = 1n << BigInt(shift);
    const hi = hiOf(address);
    const lo = loOf(address);
    this.tlb.insert(
      this.#context(ours),
      global,
      hi,
      lo,
      stage1Shift,
      stage2Shift,
      hiOf(output),
      loOf(output),
      hiOf(output),
      loOf(output),
      7,
    );
    const base = (address / size) * size;
    const entry = { ...ours, global, base, shift, stage1Shift, output: (output / size) * size };
    this.naive.insert(entry);
  }

  #invalidate(step: Step & { do: 'tlbi' }): void {
    const tlbi: NaiveTlbi = { ...step, ...step.tag };
    this.match.set(
      tlbi.operation,
      tlbi.regime,
      tlbi.vmid,
      tlbi.asid,
      hiOf(tlbi.address),
      loOf(tlbi.address),
      tlbi.pages,
      tlbi.granuleShift,
    );
    const generation = this.tlb.generation;
    const removed = this.tlb.invalidate(this.match);
    expect(removed).toBe(this.naive.invalidate(tlbi));
    expect(this.tlb.generation !== generation).toBe(removed > 0);
  }

  /** Stage-2-only entries have a VMID and no ASID. */
  #tagOf(tag: { regime: Regime; vmid: number; asid: number }): typeof tag {
    if (this.tlb.kind === TlbKind.Stage2Only) {
      return { regime: Regime.Guest, vmid: tag.vmid, asid: 0 };
    }
    return tag.regime === Regime.Host ? { ...tag, vmid: 0 } : tag;
  }
}

describe('TLB against a naive one', () => {
  const shapes: readonly [string, TlbKind, number, number][] = [
    ['fully associative', TlbKind.Combined, 6, 0],
    ['fully associative, 48 entries', TlbKind.Combined, 48, 0],
    ['set-associative', TlbKind.Combined, 16, 4],
    ['direct-mapped', TlbKind.Combined, 8, 1],
    ['odd number of sets', TlbKind.Combined, 15, 5],
    ['one entry', TlbKind.Combined, 1, 0],
    ['stage-2 only', TlbKind.Stage2Only, 6, 0],
  ];
  for (const [name, kind, entries, ways] of shapes) {
    test(`${name}: same contents after every step`, () => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
          const pair = new Pair(kind, entries, ways);
          for (const one of steps) pair.run(one);
        }),
        { numRuns: 250 },
      );
    });
  }
});
