/**
 * The words of the registry become bounds: every kind of clause that the locks use, and a lock
 * whose words claim lines without a number is noticed.
 */

import { describe, expect, it } from 'vitest';
import type { LockFacts } from '../../../src/sync/lock.ts';
import { LOCKS } from '../../../src/sync/registry.ts';
import {
  betweenNodesClaim,
  bypassClaim,
  fits,
  growthClaim,
  linesClaim,
  readClaim,
  writeClaim,
} from '../../validate/lock-claims.ts';

const MANY = Number.POSITIVE_INFINITY;

function factsOf(lock: string): LockFacts {
  return LOCKS[lock]!.facts;
}

describe('claims of locks', () => {
  it.each([
    ['mcs', 5, 5],
    ['anderson', 4, 5],
    ['ticket', 0, 32],
    ['ttas-backoff', 2, 32],
    ['qspinlock', 8, 8],
    ['futex', 10, MANY],
    ['mutex', 9, 10],
    ['rtmutex', 6, MANY],
    ['cna', 5, 5],
    ['qrwlock', 10, 18],
    ['simple-rwlock', 2, MANY],
    ['rwsem', 6, MANY],
  ])('%s: %d to %d lines with 16 CPUs', (lock, least, most) => {
    expect(linesClaim(factsOf(lock), 16)).toEqual({ least, most });
  });

  it('leaves alone what has no number per hand-over', () => {
    const without = Object.keys(LOCKS).filter((lock) => linesClaim(factsOf(lock), 16) === null);
    expect(without).toEqual(['tas', 'percpu-rwsem', 'bravo-qrwlock']);
  });

  it('O(n) and O(1)', () => {
    expect(growthClaim(factsOf('ticket'))).toEqual({ least: 2, most: MANY });
    expect(growthClaim(factsOf('mcs'))).toEqual({ least: 0, most: 1.25 });
    expect(growthClaim(factsOf('futex'))).toBeNull();
  });

  it('nodes and bypasses', () => {
    expect(betweenNodesClaim(factsOf('cohort'))).toEqual({ least: 0, most: 1 / 64 });
    expect(betweenNodesClaim(factsOf('mcs'))).toBeNull();
    expect(bypassClaim(factsOf('cna'), 16)).toEqual({ least: 0, most: 272 });
    expect(bypassClaim(factsOf('mcs'), 16)).toEqual({ least: 0, most: 30 });
    expect(bypassClaim(factsOf('tas'), 16)).toBeNull();
  });

  it('readers, and the write that they make dear', () => {
    expect(readClaim(factsOf('bravo-qrwlock'))).toEqual({ least: 0, most: 0 });
    expect(readClaim(factsOf('qrwlock'))).toEqual({ least: 2, most: 2 });
    expect(writeClaim(factsOf('bravo-qrwlock'), 192)).toEqual({ least: 192, most: 192 });
    expect(writeClaim(factsOf('percpu-rwsem'), 192)).toEqual({ least: 384, most: 384 });
    expect(writeClaim(factsOf('qrwlock'), 192)).toBeNull();
  });

  it('fits within the tolerance, and a claim of nothing almost exactly', () => {
    expect(fits(5.4, { least: 5, most: 5 })).toBe(true);
    expect(fits(5.6, { least: 5, most: 5 })).toBe(false);
    expect(fits(0.2, { least: 0, most: 0 })).toBe(false);
  });
});
