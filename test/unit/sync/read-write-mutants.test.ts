/**
 * Simple rwlock and percpu_rw_semaphore with one step replaced by its classic mistake, under the
 * scenario of readers and writers; and what the common suite doesn't use: upgrading.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { makePercpuSemaphore, percpuSemaphoreSteps } from '../../../src/sync/percpu-rwsem.ts';
import { makeSimpleReadWriteLock, simpleReadWriteSteps } from '../../../src/sync/simple-rwlock.ts';
import { Word } from '../../conformance/lock-scenarios.ts';
import { stepConformance } from '../../conformance/step-adapter.ts';
import { firstFailure, lines, raise, require } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

const WRITER = 0x80000000 | 0;

function breaks(make: () => Lock): string | null {
  return firstFailure(300, (seed) => {
    const parameters = { lock: '', make, cpuCount: 2 + (seed % 3), rounds: 8 };
    const outcome = stepConformance.run('readersAndWriters', parameters, seed);
    if (outcome instanceof Promise) throw new Error('the step engine is synchronous');
    require(outcome.word(Word.Violations) === 0, 'violations');
    require(outcome.word(Word.Count) === outcome.word(Word.CountAgain), 'lost update');
  });
}

function* nothing(): Program {}

describe('simple rwlock', () => {
  const mutant = (steps: Partial<typeof simpleReadWriteSteps>) => () =>
    makeSimpleReadWriteLock({ ...simpleReadWriteSteps, ...steps });

  it('is broken by a reader that looks first and counts itself afterwards', () => {
    const make = mutant({
      *enterReader(cpu, hi, lo) {
        while (!cpu.load32(hi, lo, Order.Acquire)) yield;
        const seen = cpu.lo;
        while (!cpu.store32(hi, lo, seen + 1, Order.Relaxed)) yield;
        cpu.lo = seen;
      },
    });
    expect(breaks(make)).not.toBeNull();
  });

  it('is broken by a writer that leaves with a store', () => {
    const make = mutant({ leaveWriter: (cpu, hi, lo) => cpu.store32(hi, lo, 0, Order.Release) });
    expect(breaks(make)).not.toBeNull();
  });

  it('is broken by a writer that looks first and enters afterwards', () => {
    const make = mutant({
      tryWriter: (cpu, hi, lo) => cpu.cas32(hi, lo, 1, WRITER, Order.Acquire),
    });
    expect(breaks(make)).not.toBeNull();
  });

  function upgraders(seed: number, steps: typeof simpleReadWriteSteps): number {
    const lock = makeSimpleReadWriteLock(steps);
    const engine = new StepEngine({ seed, stepLimit: 20_000 });
    const [at, word] = lines(engine, 2);
    let upgrades = 0;
    function* program(cpu: Cpu): Program {
      for (let i = 0; i < 4; i++) {
        yield lock.acquireRead(cpu, at!.hi, at!.lo);
        yield* lock.tryUpgrade(cpu, at!.hi, at!.lo);
        if (cpu.ret === 1) upgrades++;
        else {
          yield lock.releaseRead(cpu, at!.hi, at!.lo);
          yield lock.acquire(cpu, at!.hi, at!.lo);
        }
        yield* raise(cpu, word!);
        yield lock.release(cpu, at!.hi, at!.lo);
      }
    }
    engine.run([program, program, program]);
    require(engine.peek32(word!) === 12, 'lost update');
    return upgrades;
  }

  it('upgrades the only reader', () => {
    let upgrades = 0;
    for (let seed = 0; seed < 100; seed++) upgrades += upgraders(seed, simpleReadWriteSteps);
    expect(upgrades).toBeGreaterThan(0);
  });

  it('deadlocks when two readers wait to be the only one', () => {
    const waiting: typeof simpleReadWriteSteps = {
      ...simpleReadWriteSteps,
      *tryUpgrade(cpu, hi, lo) {
        do {
          while (!cpu.cond32(hi, lo, Condition.Equal, -1, 1, Order.Relaxed)) yield;
          while (!cpu.cas32(hi, lo, 1, WRITER, Order.Acquire)) yield;
        } while (!cpu.ok);
      },
    };
    expect(firstFailure(50, (seed) => upgraders(seed, waiting))).toMatch(/deadlock/);
  });
});

describe('percpu_rw_semaphore', () => {
  const mutant = (steps: Partial<typeof percpuSemaphoreSteps>) => () =>
    makePercpuSemaphore({ ...percpuSemaphoreSteps, ...steps });

  it.each([
    ['without a grace period', mutant({ waitGracePeriod: nothing })],
    ['by readers without sections', mutant({ enterSection: nothing, leaveSection: nothing })],
    ['by a writer that does not wait for readers', mutant({ waitReaders: nothing })],
    [
      'by readers of the slow path that look first and count themselves afterwards',
      mutant({
        *trySlowRead(cpu, hi, lo) {
          while (!cpu.load32(hi, lo + 4, Order.Acquire)) yield;
          const inside = cpu.lo === 0;
          if (inside) {
            while (!cpu.load64(hi, lo + 16, Order.Relaxed)) yield;
            const { hi: countsHi, lo: counts } = cpu;
            while (!cpu.add32(countsHi, counts + cpu.id * 64, 1, Order.Relaxed)) yield;
          }
          cpu.ret = inside ? 1 : 0;
        },
      }),
    ],
    [
      'by readers that wake nobody when they leave',
      mutant({
        *leaveReader(cpu, hi, lo) {
          while (!cpu.load64(hi, lo + 16, Order.Relaxed)) yield;
          const { hi: countsHi, lo: counts } = cpu;
          while (!cpu.add32(countsHi, counts + cpu.id * 64, -1, Order.Release)) yield;
        },
      }),
    ],
  ])('is broken %s', (_, make) => {
    expect(breaks(make)).not.toBeNull();
  });

  it('holds unmutated', () => {
    expect(breaks(mutant({}))).toBeNull();
  });
});
