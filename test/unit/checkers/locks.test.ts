/**
 * Promise: a lock has one owner, is released by it and once, and is not held at the end; every
 * kind of violation is reported with CPUs, time and the lock's name, and correct use is silent.
 */

import { describe, expect, it } from 'vitest';
import { EventKind } from '../../../src/cpu/operations.ts';
import { judged, logsOf, type Step } from './synthetic-log.ts';

const { LockAcquired, LockReleased, ReadLockAcquired, ReadLockReleased, LockTried } = EventKind;
const A = 0x1000;
const B = 0x2000;

/** In the middle of a run: what is still held is no violation. */
const violations = (...steps: Step[]) =>
  judged(logsOf(steps), { finished: false }).violations('locks');

describe('lock ownership', () => {
  it('is silent when locks are handed over, nested, shared and downgraded', () => {
    const steps: Step[] = [
      [10, 0, LockAcquired, A],
      [11, 0, LockAcquired, B],
      [12, 0, LockReleased, A],
      [13, 1, LockAcquired, A],
      [14, 0, LockReleased, B],
      [15, 1, LockReleased, A],
      [16, 1, ReadLockAcquired, A],
      [16, 0, ReadLockAcquired, A],
      [17, 0, ReadLockAcquired, A],
      [18, 0, ReadLockReleased, A],
      [18, 1, ReadLockReleased, A],
      [19, 0, ReadLockReleased, A],
    ];
    const verdict = judged(logsOf(steps));
    expect(verdict.violations('locks')).toEqual([]);
    expect(verdict.summary('locks')).toBe('6 acquisitions of 2 locks excluded each other');
  });

  it('names a lock, both owners and the time when it has two', () => {
    const symbols = [{ name: 'kvm->mmu_lock', address: { hi: 0, lo: A }, bytes: 8 }];
    const logs = logsOf([
      [10, 3, LockAcquired, A],
      [12.5, 1, LockAcquired, A],
      [13, 1, LockReleased, A],
    ]);
    expect(judged(logs, { symbols }).violations('locks')).toEqual([
      'CPU 1 at 12.5 ns: acquires a lock that another holder has ' +
        '(virtual 0xffff000000001000, kvm->mmu_lock; with CPU 3)',
    ]);
  });

  it('finds a writer among readers and a reader beside a writer', () => {
    expect(violations([1, 0, ReadLockAcquired, A], [2, 1, LockAcquired, A])[0]).toContain(
      'acquires a lock that readers hold',
    );
    expect(violations([1, 0, LockAcquired, A], [2, 1, ReadLockAcquired, A])[0]).toContain(
      'acquires a lock for reading that a writer holds',
    );
  });

  it('finds a release by another CPU, of a free lock, twice', () => {
    expect(violations([1, 0, LockAcquired, A], [2, 1, LockReleased, A])[0]).toContain(
      'releases a lock that another CPU holds',
    );
    const twice: Step[] = [
      [1, 0, LockAcquired, A],
      [2, 0, LockReleased, A],
      [3, 0, LockReleased, A],
    ];
    expect(violations(...twice)).toEqual([
      'CPU 0 at 3 ns: releases a lock that nobody holds (virtual 0xffff000000001000)',
    ]);
    expect(violations([2, 1, ReadLockReleased, A])[0]).toContain('does not hold');
  });

  it('finds a lock that is held at the end, if the programs came to their end', () => {
    const logs = logsOf([[1, 0, LockAcquired, A]]);
    expect(judged(logs).violations('locks')[0]).toContain('has ended and still holds a lock');
    expect(judged(logs, { finished: false }).violations('locks')).toEqual([]);
  });

  it('orders events of all CPUs by emulated time, not by log', () => {
    const steps: Step[] = [
      [20, 0, LockAcquired, A],
      [21, 0, LockReleased, A],
      [10, 1, LockAcquired, A],
      [11, 1, LockReleased, A],
      [30, 1, LockAcquired, A],
      [31, 1, LockReleased, A],
    ];
    expect(violations(...steps)).toEqual([]);
  });

  it('judges nothing after a log was full, and says so', () => {
    const steps: Step[] = [
      [1, 0, LockAcquired, A],
      [2, 0, LockReleased, A],
      [3, 0, LockReleased, A],
    ];
    const verdict = judged(logsOf(steps, [], 2));
    expect(verdict.violations('locks')).toEqual([]);
    expect(verdict.summary('locks')).toContain('watched until 3 ns, when a log was full');
  });
});

describe('lock order', () => {
  const nested = (first: number, second: number, at: number, cpu: number): Step[] => [
    [at, cpu, LockAcquired, first],
    [at + 1, cpu, LockAcquired, second],
    [at + 2, cpu, LockReleased, second],
    [at + 3, cpu, LockReleased, first],
  ];
  const order = (steps: Step[]) => judged(logsOf(steps)).summary('lock-order');

  it('tells a circle as information, never as a violation', () => {
    const verdict = judged(logsOf([...nested(A, B, 0, 0), ...nested(B, A, 10, 1)]));
    expect(verdict.violations('lock-order')).toEqual([]);
    expect(verdict.summary('lock-order')).toContain('a circle, which may be a deadlock: ');
  });

  it('sees none where the order is kept', () => {
    expect(order([...nested(A, B, 0, 0), ...nested(A, B, 10, 1)])).toBe(
      '1 pairs of locks were taken inside each other, without a circle',
    );
  });

  it('leaves out acquisitions that would not have waited', () => {
    const tried = nested(B, A, 10, 1);
    tried.splice(1, 0, [10.5, 1, LockTried, A]);
    expect(order([...nested(A, B, 0, 0), ...tried])).toContain('without a circle');
  });
});
