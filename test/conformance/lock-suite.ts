/**
 * One suite for every lock on every engine. Promises: mutual exclusion, no lost update, locks held
 * together, readers side by side and never beside a writer, first come first served where a lock
 * claims it, nesting in interrupts. The lock that is measured is the lock that is tested here.
 */

import { describe, expect, it } from 'vitest';
import { Counter } from '../../src/metrics/definition.ts';
import { LOCKS } from '../../src/sync/registry.ts';
import type { ConformanceEngine } from './engine.ts';
import { Word, writesOf } from './lock-scenarios.ts';

export interface SuiteOptions {
  readonly locks?: readonly string[];
  readonly seeds: number;
  readonly cpuCounts: readonly number[];
  readonly rounds: number;
  /** Real threads may miss each other: that somebody had to wait is then no promise. */
  readonly mayMiss?: boolean;
  /** The engine can say who asked first. */
  readonly ordered: boolean;
  /** Interrupt handlers run with interrupts masked, as on hardware, so that they don't nest. */
  readonly masksInHandlers: boolean;
}

/** CPUs that ask one after the other, and the one that makes them wait. */
const FIFO_CPUS = 6;

export function describeLocks(engine: ConformanceEngine, given: SuiteOptions): void {
  const names = given.locks ?? Object.keys(LOCKS).filter((name) => name !== 'none');
  for (const lock of names) {
    const { kind, facts, make } = LOCKS[lock]!;
    const { cpusMax = Number.POSITIVE_INFINITY } = make();
    const options = { ...given, cpuCounts: given.cpuCounts.filter((count) => count <= cpusMax) };
    describe(`${lock} on the ${engine.name} engine`, () => {
      it('excludes, and loses no update', async () => {
        let contentions = 0;
        await eachRun(options, async (seed, cpuCount, rounds) => {
          const outcome = await engine.run('exclusion', { lock, cpuCount, rounds }, seed);
          expect(outcome.word(Word.Violations), `violations, seed ${seed}`).toBe(0);
          expect(outcome.word(Word.Count), `count, seed ${seed}`).toBe(cpuCount * rounds);
          contentions += outcome.counter(Counter.LockContentions);
        });
        if (options.mayMiss === true) return;
        expect(contentions, 'acquisitions that had to wait').toBeGreaterThan(0);
      });

      it('can be held beside another one and released first', async () => {
        await eachRun(options, async (seed, cpuCount, rounds) => {
          const outcome = await engine.run('overlapping', { lock, cpuCount, rounds }, seed);
          expect(outcome.word(Word.Violations), `violations, seed ${seed}`).toBe(0);
          expect(outcome.word(Word.SecondCount), `seed ${seed}`).toBe(cpuCount * rounds);
        });
      });

      if (kind === 'read-write') describeReaders(engine, lock, options);
      if (facts.fair && options.ordered && cpusMax >= FIFO_CPUS)
        describeOrder(engine, lock, options);
      if (options.masksInHandlers && facts.sleeps !== true)
        describeInterrupts(engine, lock, options);
    });
  }
}

async function eachRun(
  options: SuiteOptions,
  run: (seed: number, cpuCount: number, rounds: number) => Promise<void>,
): Promise<void> {
  for (const cpuCount of options.cpuCounts) {
    for (let seed = 0; seed < options.seeds; seed++) await run(seed, cpuCount, options.rounds);
  }
}

function describeReaders(engine: ConformanceEngine, lock: string, options: SuiteOptions): void {
  it('keeps readers and writers apart', async () => {
    await eachRun(options, async (seed, cpuCount, rounds) => {
      const outcome = await engine.run('readersAndWriters', { lock, cpuCount, rounds }, seed);
      const writes = Array.from({ length: cpuCount }, (_, cpu) => writesOf(cpu, rounds));
      expect(outcome.word(Word.Violations), `violations, seed ${seed}`).toBe(0);
      expect(outcome.word(Word.Count), `seed ${seed}`).toBe(writes.reduce((a, b) => a + b, 0));
      expect(outcome.word(Word.Readers), `seed ${seed}`).toBe(0);
    });
  });

  it('lets all readers in at once', async () => {
    await eachRun(options, async (seed, cpuCount) => {
      const outcome = await engine.run('readersMeet', { lock, cpuCount, rounds: 1 }, seed);
      expect(outcome.word(Word.Readers)).toBe(cpuCount);
    });
  });
}

function describeOrder(engine: ConformanceEngine, lock: string, options: SuiteOptions): void {
  it('serves in the order of asking', async () => {
    for (let seed = 0; seed < Math.min(options.seeds, 20); seed++) {
      const parameters = { lock, cpuCount: FIFO_CPUS, rounds: 1 };
      const outcome = await engine.run('firstComeFirstServed', parameters, seed);
      expect(outcome.word(Word.Violations), `out of turn, seed ${seed}`).toBe(0);
      expect(outcome.word(Word.Turn)).toBe(FIFO_CPUS - 1);
    }
  });
}

function describeInterrupts(engine: ConformanceEngine, lock: string, options: SuiteOptions): void {
  it('nests in interrupt handlers', async () => {
    await eachRun(options, async (seed, cpuCount, rounds) => {
      const outcome = await engine.run('interrupted', { lock, cpuCount, rounds }, seed);
      expect(outcome.word(Word.Violations), `violations, seed ${seed}`).toBe(0);
      expect(outcome.word(Word.Count), `seed ${seed}`).toBe(cpuCount * rounds);
      expect(outcome.word(Word.SecondCount), `handlers, seed ${seed}`).toBe(rounds);
    });
  });
}
