/**
 * Seqlock and latch: readers never take a torn pair, and a replaced step shows. What only a
 * weaker memory model shows must stay silent here, where every access takes effect at once.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Order } from '../../../src/cpu/operations.ts';
import { makeSequenceLock, sequenceSteps } from '../../../src/sync/seqcount.ts';
import { latchSteps, makeSequenceLatch } from '../../../src/sync/seqcount-latch.ts';
import { firstFailure, lines, load, raise, require, store } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

const SEEDS = 200;

describe('seqlock', () => {
  function run(seed: number, changes: Partial<typeof sequenceSteps>): void {
    const lock = makeSequenceLock({ ...sequenceSteps, ...changes });
    const engine = new StepEngine({ seed });
    const [at, a, b] = lines(engine, 3);
    function* writer(cpu: Cpu): Program {
      for (let i = 0; i < 6; i++) {
        yield lock.acquire(cpu, at!.hi, at!.lo);
        yield* raise(cpu, a!);
        yield* raise(cpu, b!);
        yield lock.release(cpu, at!.hi, at!.lo);
      }
    }
    function* reader(cpu: Cpu): Program {
      for (let i = 0; i < 8; i++) {
        let first = 0;
        let second = 0;
        do {
          yield* lock.readBegin(cpu, at!.hi, at!.lo);
          const start = cpu.lo;
          yield* load(cpu, a!);
          first = cpu.lo;
          yield* load(cpu, b!);
          second = cpu.lo;
          yield* lock.readRetry(cpu, at!.hi, at!.lo, start);
        } while (cpu.ret === 1);
        require(first === second, 'torn read');
      }
    }
    engine.run([writer, reader, writer, reader]);
    require(engine.peek32(a!) === 12 && engine.peek32(b!) === 12, 'lost update');
  }
  const breaks = (changes: Partial<typeof sequenceSteps>) =>
    firstFailure(SEEDS, (seed) => run(seed, changes));
  const noFence = () => true;

  it('holds, also without barriers while every access takes effect at once', () => {
    expect(breaks({})).toBeNull();
    expect(breaks({ readFence: noFence, writeFence: noFence })).toBeNull();
  });

  it('is broken by a reader that accepts an odd start', () => {
    const readBegin = (cpu: Cpu, hi: number, lo: number) => load(cpu, { hi, lo });
    expect(breaks({ readBegin })).toMatch(/torn read/);
  });

  it('is broken by writers that do not exclude each other', () => {
    const lockWriters = (cpu: Cpu, hi: number, lo: number) => load(cpu, { hi, lo });
    expect(breaks({ lockWriters, unlockWriters: noFence })).not.toBeNull();
  });
});

describe('latch', () => {
  /** Copies are pairs of words; the last CPU is interrupted in its update by a reader. */
  function run(seed: number, changes: Partial<typeof latchSteps>): number {
    const latch = makeSequenceLatch({ ...latchSteps, ...changes });
    const engine = new StepEngine({ seed, stepLimit: 50_000 });
    const [at, ...words] = lines(engine, 5);
    let repeats = 0;
    function* read(cpu: Cpu): Program {
      let first = 0;
      let second = 0;
      do {
        yield* latch.readBegin(cpu, at!.hi, at!.lo);
        const start = cpu.lo;
        yield* load(cpu, words[(start & 1) * 2]!);
        first = cpu.lo;
        yield* load(cpu, words[(start & 1) * 2 + 1]!);
        second = cpu.lo;
        yield* latch.readRetry(cpu, at!.hi, at!.lo, start);
        repeats += cpu.ret;
      } while (cpu.ret === 1);
      require(first === second, 'torn read');
    }
    function* reader(cpu: Cpu): Program {
      for (let i = 0; i < 8; i++) {
        yield* read(cpu);
        while (!cpu.ipi(3, 5)) yield;
      }
    }
    function* writer(cpu: Cpu): Program {
      for (let value = 1; value <= 6; value++) {
        yield* latch.update(cpu, at!.hi, at!.lo, function* (self, copy) {
          yield* store(self, words[copy * 2]!, value);
          yield* store(self, words[copy * 2 + 1]!, value);
        });
      }
    }
    engine.run([
      reader,
      reader,
      null,
      (cpu) => {
        cpu.setInterrupt(5, read);
        return writer(cpu);
      },
    ]);
    return repeats;
  }
  const breaks = (changes: Partial<typeof latchSteps>) =>
    firstFailure(SEEDS, (seed) => run(seed, changes));

  it('holds, with a reader in an interrupt of the writer, and readers do repeat', () => {
    let repeats = 0;
    for (let seed = 0; seed < SEEDS; seed++) repeats += run(seed, {});
    expect(repeats).toBeGreaterThan(0);
  });

  it('is broken by a writer that changes the copy in use', () => {
    const update: typeof latchSteps.update = function* (cpu, hi, lo, write, steps) {
      for (let copy = 0; copy < 2; copy++) {
        yield* write(cpu, copy);
        yield* steps.flip(cpu, hi, lo);
      }
    };
    expect(breaks({ update })).toMatch(/torn read/);
  });

  it('is broken by a flip that skips a copy', () => {
    const flip: typeof latchSteps.flip = function* (cpu, hi, lo) {
      while (!cpu.add32(hi, lo, 2, Order.Relaxed)) yield;
    };
    expect(breaks({ flip })).toMatch(/torn read/);
  });
});
