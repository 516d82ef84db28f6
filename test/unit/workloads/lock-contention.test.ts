/**
 * Promises: lock_contention counts every critical section once and finds a lock that is not
 * exclusive; the fastest CPU makes its acquisitions; Jain's index is what the paper says; two locks
 * under one seed see the same think and hold times.
 */

import { describe, expect, it } from 'vitest';
import { LOCKS } from '../../../src/sync/registry.ts';
import { duration } from '../../../workloads/common/exponential.ts';
import { jainIndex } from '../../../workloads/common/lock-report.ts';
import { lockContention } from '../../../workloads/lock_contention.ts';
import { runOnStepEngine } from './harness.ts';

describe('lock_contention', () => {
  for (const lock of Object.keys(LOCKS).filter((name) => name !== 'none')) {
    it(`ends and is exclusive with ${lock}`, () => {
      const assignments = { lock, acquisitions: '40', warmUp: '3', lines: '2' };
      const cpus = LOCKS[lock]!.make().cpusMax === undefined ? [0, 1, 2, 3] : [1, 3];
      const { facts, report } = runOnStepEngine(lockContention, { assignments, seed: 3, cpus });
      const perCpu = facts.countersOfCpu['operations']!;
      expect(Math.max(...perCpu)).toBe(40);
      expect(report).toContain('contentions');
      expect(report).toContain("Jain's fairness index");
    });
  }

  it('refuses more CPUs than a lock is for', () => {
    expect(() => runOnStepEngine(lockContention, { assignments: { lock: 'dekker' } })).toThrow(
      /lock dekker is for 2 CPUs, not 4; use -c 2/,
    );
  });

  it('finds critical sections that overlapped', () => {
    const run = (seed: number): void => {
      const assignments = {
        lock: 'ticket',
        acquisitions: '60',
        warmUp: '0',
        hold: '0',
        think: '0',
      };
      const { facts, image, context } = runOnStepEngine(lockContention, { assignments, seed });
      const stolen = { ...facts, peek32: (hi: number, lo: number) => facts.peek32(hi, lo) - 1 };
      lockContention.report!(stolen, image, context);
    };
    expect(() => run(1)).toThrow(/lock ticket is not exclusive/);
  });

  it('shares several locks, each CPU its own or any', () => {
    for (const pick of ['own', 'random']) {
      const assignments = { locks: '4', pick, acquisitions: '30', lock: 'mcs' };
      const { facts } = runOnStepEngine(lockContention, { assignments });
      const moved =
        facts.counters['lock.handovers.local']! + facts.counters['lock.handovers.remote']!;
      expect(moved === 0).toBe(pick === 'own');
    }
  });

  it('reads with a reader-writer lock and refuses readers of a spinlock', () => {
    const assignments = { lock: 'qrwlock', readers: '50', acquisitions: '30' };
    const { facts } = runOnStepEngine(lockContention, { assignments });
    expect(facts.counters['operations']).toBeGreaterThan(30);
    expect(() =>
      runOnStepEngine(lockContention, { assignments: { lock: 'mcs', readers: '10' } }),
    ).toThrow(/readers: mcs has no read side/);
  });
});

describe('fairness and durations', () => {
  it('gives 1 for equal shares and 1/n for one winner', () => {
    expect(jainIndex([5, 5, 5])).toBe(1);
    expect(jainIndex([9, 0, 0])).toBeCloseTo(1 / 3);
  });

  it('draws integers with the mean asked for', () => {
    for (const kind of ['constant', 'uniform', 'exponential'] as const) {
      let sum = 0;
      for (let slot = 0; slot < 4096; slot++) {
        const ps = duration(kind, 100_000, (slot << 20) | 0x80000);
        expect(Number.isInteger(ps)).toBe(true);
        sum += ps;
      }
      expect(Math.abs(sum / 4096 - 100_000)).toBeLessThan(200);
    }
  });
});
