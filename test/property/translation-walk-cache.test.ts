/**
 * Promise: walk caches hold, per level, the most recently used table descriptors of both stages,
 * and a TLBI takes the matching ones unless it is a last-level form (ER-X8). Method: random
 * sequences against an array per level (predicates of translation-naive.ts).
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Regime, Tlbi } from '../../src/cpu/operations.ts';
import { packContext } from '../../src/translation/context.ts';
import { GRANULE_4K, GRANULE_64K, levelShift } from '../../src/translation/granule.ts';
import { TlbiMatch } from '../../src/translation/tlbi-match.ts';
import { WalkCache } from '../../src/translation/walk-cache.ts';
import { type NaiveTlbi, takesStage1, takesStage2 } from './translation-naive.ts';

const ENTRIES = 4;
const hiOf = (address: bigint): number => Number(BigInt.asIntN(32, address >> 32n));
const loOf = (address: bigint): number => Number(BigInt.asIntN(32, address));

interface NaiveTable {
  readonly stage: 1 | 2;
  readonly regime: Regime;
  readonly vmid: number;
  readonly asid: number;
  readonly base: bigint;
  readonly shift: number;
  readonly table: number;
}

const tag = fc.record({
  regime: fc.constantFrom(Regime.Host, Regime.Guest, Regime.Guest),
  vmid: fc.constantFrom(1, 2),
  asid: fc.constantFrom(0, 3),
});
const address = fc
  .record({
    high: fc.boolean(),
    top: fc.integer({ min: 0, max: 2 }),
    middle: fc.integer({ min: 0, max: 2 }),
    low: fc.integer({ min: 0, max: 5 }),
  })
  .map(
    ({ high, top, middle, low }) =>
      (high ? 0xffff0000_00000000n : 0n) +
      (BigInt(top) << 39n) +
      (BigInt(middle) << 30n) +
      (BigInt(low) << 20n),
  );
const stage = fc.constantFrom<1 | 2>(1, 2);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('lookup' as const),
      tag,
      stage,
      address,
      topLevel: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      tag,
      stage,
      address,
      granule: fc.constantFrom(GRANULE_4K, GRANULE_4K, GRANULE_64K),
      level: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('tlbi' as const),
      tag,
      address,
      operation: fc.constantFrom(...Object.values(Tlbi)),
      pages: fc.constantFrom(1, 512, 300_000),
      granuleShift: fc.constantFrom(12, 16),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Pair {
  readonly cache = new WalkCache(ENTRIES);
  readonly match = new TlbiMatch();
  /** By level, least recently used first. */
  levels: NaiveTable[][] = [[], [], []];
  time = 0;

  run(step: Step): void {
    this.time++;
    if (step.do === 'lookup') this.#lookup(step);
    else if (step.do === 'insert') this.#insert(step);
    else this.#invalidate(step);
    for (let level = 0; level < 3; level++) {
      const tables = this.cache.tables[level]!;
      const held = [...tables.valid.subarray(0, tables.validCount)].map((i) => tables.paLo(i));
      const expected = this.levels[level]!.map((entry) => entry.table);
      expect(held.sort()).toEqual(expected.sort());
    }
  }

  #lookup({ tag, stage, address, topLevel }: Step & { do: 'lookup' }): void {
    const key = keyOf(tag, stage, address);
    const found = this.cache.lookupDeepest(
      stage,
      packContext(key.regime, key.vmid, key.asid),
      hiOf(key.address),
      loOf(key.address),
      topLevel,
    );
    for (let level = 2; level >= topLevel; level--) {
      const entries = this.levels[level]!;
      const entry = entries.find((one) => sameTag(one, key) && covers(one, key.address));
      if (entry === undefined) continue;
      expect(found).toBe(level);
      expect(this.cache.tableLo).toBe(entry.table);
      this.levels[level] = [...entries.filter((one) => one !== entry), entry];
      return;
    }
    expect(found).toBe(-1);
  }

  #insert({ tag, stage, address, granule, level }: Step & { do: 'insert' }): void {
    const key = keyOf(tag, stage, address);
    const shift = levelShift(granule, level);
    const size = 1n << BigInt(shift);
    const table = this.time << 12;
    this.cache.insert(
      stage,
      packContext(key.regime, key.vmid, key.asid),
      granule,
      level,
      hiOf(key.address),
      loOf(key.address),
      3,
      table,
    );
    const fresh: NaiveTable = { ...key, base: (key.address / size) * size, shift, table };
    const kept = this.levels[level]!.filter(
      (old) => !(sameTag(old, fresh) && (covers(old, fresh.base) || covers(fresh, old.base))),
    );
    if (kept.length === ENTRIES) kept.shift();
    this.levels[level] = [...kept, fresh];
  }

  #invalidate(step: Step & { do: 'tlbi' }): void {
    const tlbi: NaiveTlbi = { ...step, ...step.tag };
    const { operation, regime, vmid, asid, pages, granuleShift } = tlbi;
    const hi = hiOf(tlbi.address);
    this.match.set(operation, regime, vmid, asid, hi, loOf(tlbi.address), pages, granuleShift);
    const removed = this.cache.invalidate(this.match);
    let expected = 0;
    this.levels = this.levels.map((entries) => {
      const kept = entries.filter((entry) => operation === Tlbi.VaLE1Is || !taken(tlbi, entry));
      expected += entries.length - kept.length;
      return kept;
    });
    expect(removed).toBe(expected);
  }
}

function keyOf(
  tag: { regime: Regime; vmid: number; asid: number },
  stage: 1 | 2,
  address: bigint,
): Omit<NaiveTable, 'base' | 'shift' | 'table'> & { address: bigint } {
  if (stage === 2) {
    const ipa = BigInt.asUintN(48, address);
    return { stage, regime: Regime.Guest, vmid: tag.vmid, asid: 0, address: ipa };
  }
  return { stage, ...tag, vmid: tag.regime === Regime.Host ? 0 : tag.vmid, address };
}

function sameTag(a: Omit<NaiveTable, 'base' | 'shift' | 'table'>, b: typeof a): boolean {
  return a.stage === b.stage && a.regime === b.regime && a.vmid === b.vmid && a.asid === b.asid;
}

function covers(entry: NaiveTable, address: bigint): boolean {
  return address >= entry.base && address < entry.base + (1n << BigInt(entry.shift));
}

function taken(tlbi: NaiveTlbi, entry: NaiveTable): boolean {
  if (entry.stage === 2) return takesStage2(tlbi, entry.vmid, entry.base, entry.shift);
  const leaf = { ...entry, global: false, stage1Shift: entry.shift, output: 0n, set: 0 };
  return takesStage1(tlbi, leaf);
}

describe('walk cache against arrays in order of use', () => {
  test('same tables at every level after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
        const pair = new Pair();
        for (const one of steps) pair.run(one);
      }),
      { numRuns: 300 },
    );
  });
});
