/** Completeness of the dirty log: what the bitmap at the end says about pages that were written. */

import { beforeEach, describe, expect, it } from 'vitest';
import { EventKind, Regime } from '../../../../src/cpu/operations.ts';
import { makeDirtyLog } from '../../../../src/stress/oracles/dirty-log.ts';
import type { StressOracle } from '../../../../src/stress/oracles/oracle.ts';

const BITMAP = 0x1000;
const FIRST = 0x4000_0000;
const PAGE = 4096;

let memory: Map<number, number>;
let said: string[];
let oracle: StressOracle;

beforeEach(() => {
  memory = new Map();
  said = [];
  const word = (_hi: number, lo: number): number => memory.get(lo) ?? 0;
  oracle = makeDirtyLog(
    {
      cpuCount: 2,
      isBlocked: () => false,
      interrupts: () => true,
      fail: ({ text }) => said.push(text),
      reach: () => {},
    },
    word,
  );
  oracle.event!(0, EventKind.DirtyBitmap, 0, BITMAP);
  oracle.event!(0, EventKind.DirtyBitmapPages, 0, FIRST | 15);
});

function protect(page: number): void {
  oracle.event!(0, EventKind.PageWriteProtected, 0, (FIRST + page * PAGE) | 12);
  oracle.event!(0, EventKind.WriteProtectFlushed, 0, 0);
}

function write(page: number): void {
  const at = { vaHi: 0, vaLo: 0, paHi: 0, paLo: FIRST + page * PAGE };
  oracle.translated!({ cpu: 1, regime: Regime.Guest, context: 1 << 16, ...at, write: true });
}

function store(value: number, cpu = 0): void {
  const old = memory.get(BITMAP) ?? 0;
  memory.set(BITMAP, value);
  oracle.wrote!(cpu, 0, BITMAP, 4, old, 0);
}

const read = (cpu = 0): void => oracle.access!(cpu, 0, BITMAP, 4, false);

function atEnd(): readonly string[] {
  oracle.finish!();
  return said;
}

describe('the oracle of dirty logs', () => {
  it('misses a page that was written and is not named', () => {
    protect(3);
    write(3);
    expect(atEnd()).toHaveLength(1);
  });

  it('is content with a bit, also one that comes after the write', () => {
    protect(3);
    write(3);
    store(1 << 3);
    expect(atEnd()).toEqual([]);
  });

  it('is not content with the bit of another page', () => {
    protect(3);
    write(3);
    store(1 << 4);
    expect(atEnd()).toHaveLength(1);
  });

  it('is content when the bit was taken after the write, not before', () => {
    protect(3);
    store(1 << 3);
    write(3);
    read();
    store(0);
    expect(atEnd()).toEqual([]);
    write(3);
    expect(atEnd()).toHaveLength(1);
  });

  it('misses a bit that was cleared by who had not read it', () => {
    protect(3);
    read();
    write(3);
    store(1 << 3, 1);
    store(0);
    expect(atEnd()).toHaveLength(1);
  });

  it('allows writes before a protection is flushed, and to what was never protected', () => {
    write(1);
    oracle.event!(0, EventKind.PageWriteProtected, 0, (FIRST + PAGE) | 12);
    write(1);
    oracle.event!(0, EventKind.WriteProtectFlushed, 0, 0);
    write(2);
    expect(atEnd()).toEqual([]);
  });

  it('begins again with the next schedule', () => {
    protect(3);
    write(3);
    oracle.begin!();
    expect(atEnd()).toEqual([]);
  });
});
