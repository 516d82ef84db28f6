/**
 * Promise I4 on one CPU: after a TLBI has taken effect no TLB holds what it takes, no walk that
 * it passed fills an entry, no access that it hit takes place. The engine keeps it; here a broken
 * engine is played, one way at a time, so that the watch is known to notice. And I1: no fill
 * beside a valid entry that says otherwise.
 */

import { describe, expect, it } from 'vitest';
import { DvmWatch } from '../../../src/checkers/dvm-watch.ts';
import { matchOf } from '../../../src/checkers/tlbi-record.ts';
import { TranslationWatch } from '../../../src/checkers/translation-watch.ts';
import type { WatchedTlb } from '../../../src/checkers/watched-tlb.ts';
import { Tlbi } from '../../../src/cpu/operations.ts';
import { PERM_READ, PERM_WRITE } from '../../../src/translation/descriptors.ts';
import { TlbKind } from '../../../src/translation/tlb.ts';

const ASID = 7;
const VA = 0x400000;
const FLUSH = {
  atPs: 50,
  operation: Tlbi.VaE1Is,
  context: ASID,
  hi: 0,
  lo: VA,
  pages: 1,
  granuleShift: 12,
};

class Fixture {
  readonly clock = { clock: 0 };
  readonly watch: TranslationWatch;
  readonly tlb2: WatchedTlb;
  readonly dtlb: WatchedTlb;

  constructor(bbm = '0') {
    this.watch = new TranslationWatch(3, this.clock, bbm, 1000);
    this.tlb2 = this.watch.newTlb(16, 4, TlbKind.Combined, null);
    this.dtlb = this.watch.newTlb(4, 0, TlbKind.Combined, this.tlb2);
  }

  /** A walk that began at `startPs` fills both levels at `atPs`. */
  fill(
    startPs: number,
    atPs: number,
    vaLo: number,
    paLo: number,
    shift = 12,
    rights = WRITE,
  ): void {
    this.clock.clock = startPs;
    this.watch.walkStarts(0, 0x1000);
    this.finishFill(atPs, vaLo, paLo, shift, rights);
  }

  finishFill(atPs: number, vaLo: number, paLo: number, shift = 12, rights = WRITE): void {
    this.clock.clock = atPs;
    for (const tlb of [this.dtlb, this.tlb2]) {
      tlb.insert(ASID, false, 0, vaLo, shift, 0, 0, 0, 0, paLo, rights);
    }
  }

  /** As the engine does: entries go, then the watch looks. */
  invalidate(atPs: number, walking = false): void {
    this.clock.clock = atPs;
    const match = matchOf(FLUSH);
    this.dtlb.invalidate(match);
    this.tlb2.invalidate(match);
    this.watch.tlbiApplied(match, FLUSH, walking);
  }

  get stale(): string[] {
    return this.watch.findings.translations.violations.map(({ text }) => text);
  }

  get conflicts(): string[] {
    return this.watch.findings.breakBeforeMake.violations.map(({ text }) => text);
  }
}

const WRITE = PERM_READ | PERM_WRITE;

describe('a TLBI that took effect', () => {
  it('leaves nothing to say when entries went and the walk began again', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000);
    at.watch.accessed(true, 21);
    at.invalidate(50);
    at.fill(60, 70, VA, 0x9000);
    at.watch.accessed(true, 71);
    expect(at.stale).toEqual([]);
    expect(at.conflicts).toEqual([]);
  });

  it('is missed by an entry that stays', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000);
    at.watch.tlbiApplied(matchOf(FLUSH), FLUSH, false);
    expect(at.stale).toEqual(['holds a translation after its TLBI']);
  });

  it('is missed by a walk that it passed', () => {
    const at = new Fixture();
    at.clock.clock = 10;
    at.watch.walkStarts(0, 0x1000);
    at.watch.walkReads(11);
    at.invalidate(50, true);
    at.finishFill(60, VA, 0x8000);
    expect(at.stale).toEqual(['fills a translation by a walk that a TLBI passed']);
  });

  it('does not concern a walk that has read nothing yet', () => {
    const at = new Fixture();
    at.clock.clock = 10;
    at.watch.walkStarts(0, 0x1000);
    at.invalidate(50, true);
    at.watch.walkReads(55);
    at.finishFill(60, VA, 0x8000);
    expect(at.stale).toEqual([]);
    expect(at.watch.log.columns().walkStartPs[0]).toBe(55);
  });

  it('does not concern a walk for another address', () => {
    const at = new Fixture();
    at.clock.clock = 10;
    at.watch.walkStarts(0, 0x1000);
    at.watch.walkReads(11);
    at.invalidate(50, true);
    at.finishFill(60, VA + 0x1000, 0x8000);
    expect(at.stale).toEqual([]);
  });

  it('is missed by an access that was translated before', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000);
    at.invalidate(50);
    at.watch.accessed(false, 55);
    expect(at.stale).toEqual(['performs an access with a translation that a TLBI took meanwhile']);
  });
});

describe('the log of translations', () => {
  it('has one row for both levels, with its last use and the TLBI that took it', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000);
    at.clock.clock = 30;
    expect(at.dtlb.lookup(ASID, 0, VA)).toBeGreaterThanOrEqual(0);
    at.watch.accessed(true, 30);
    at.watch.remoteTlbiBegins(50, 1, 4);
    at.invalidate(49);
    const rows = at.watch.log.columns();
    expect(rows.count).toBe(1);
    expect(rows.walkStartPs[0]).toBe(10);
    expect(rows.filledPs[0]).toBe(20);
    expect(rows.lastUsePs[0]).toBe(30);
    expect(rows.lastWritePs[0]).toBe(30);
    expect(rows.removedPs[0]).toBe(50);
    expect([rows.takenBy[0], rows.takenBySequence[0]]).toEqual([1, 4]);
  });

  it('keeps a row while one level still holds it', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000);
    for (let page = 1; page <= 4; page++) at.fill(30, 40, VA + page * 0x1000, 0x9000);
    expect(at.dtlb.find(ASID, 0, VA)).toBe(-1);
    expect(at.watch.log.columns().removedPs[0]).toBe(Number.POSITIVE_INFINITY);
  });

  it('leaves out the linear map', () => {
    const at = new Fixture();
    const kernel = 0xffff0000 | 0;
    at.dtlb.insert(0, true, kernel, 0, 30, 0, 0, 0, 0, 0, WRITE);
    expect(at.watch.log.columns().count).toBe(0);
  });
});

describe('break-before-make on one CPU', () => {
  it('is broken by a block over a valid page, unless the CPU has FEAT_BBM', () => {
    for (const [bbm, count] of [
      ['0', 1],
      ['2', 0],
    ] as const) {
      const at = new Fixture(bbm);
      at.fill(10, 20, VA + 0x3000, 0x803000);
      at.fill(30, 40, VA, 0x800000, 21);
      expect(at.conflicts).toHaveLength(count);
    }
  });

  it('is broken by another output on every CPU, if one of the two is writable', () => {
    for (const [rights, count] of [
      [WRITE, 1],
      [PERM_READ, 0],
    ] as const) {
      const at = new Fixture('2');
      at.fill(10, 20, VA + 0x3000, 0x5000, 12, rights);
      at.fill(30, 40, VA, 0x800000, 21, PERM_READ);
      expect(at.conflicts).toHaveLength(count);
    }
  });

  it('allows other permissions: a stale, more restrictive entry merely faults again', () => {
    const at = new Fixture();
    at.fill(10, 20, VA, 0x8000, 12, PERM_READ);
    at.fill(30, 40, VA, 0x8000);
    expect(at.conflicts).toEqual([]);
  });

  it('takes an eviction for no conflict', () => {
    const at = new Fixture();
    for (let page = 0; page < 40; page++) at.fill(10, 20, VA + page * 0x1000, page * 0x1000);
    expect(at.conflicts).toEqual([]);
  });
});

describe('a Sync', () => {
  it('arrives after every TLBI that was issued before it', () => {
    const watch = new DvmWatch(2, 4);
    watch.received(1);
    watch.received(1);
    watch.syncReceived(1, 2, 1000);
    expect(watch.findings.violations).toEqual([]);
    watch.received(1);
    watch.syncReceived(1, 4, 2000);
    expect(watch.findings.violations[0]!.text).toBe(
      "acknowledges a DSB after 3 of the issuer's 4 TLBIs",
    );
  });
});
