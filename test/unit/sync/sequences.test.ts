/**
 * Sequence counters: a reader never takes a torn pair, and notices an invalidation between its
 * snapshot and its check. Many interleavings on the step engine.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Fence, Order } from '../../../src/cpu/operations.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import {
  invalidateBegin,
  invalidateEnd,
  invalidateInProgress,
  invalidateSnapshot,
} from '../../../src/sync/invalidate-sequence.ts';
import { queuedSpinLock, queuedSpinUnlock } from '../../../src/sync/qspinlock.ts';
import {
  seqlockWriteLock,
  seqlockWriteUnlock,
  sequenceReadBegin,
  sequenceReadRetry,
} from '../../../src/sync/seqcount.ts';
import { StepEngine } from '../../support/step-engine.ts';

function lines(engine: StepEngine, count: number): Address[] {
  return Array.from({ length: count }, (_, i) => toLinear(engine.boot.allocate(i % 2, 64)));
}

function* load(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
}

function* store(cpu: Cpu, { hi, lo }: Address, value: number): Program {
  while (!cpu.store32(hi, lo, value, Order.Relaxed)) yield;
}

describe('seqlock', () => {
  it('gives readers whole pairs and keeps writers apart', () => {
    let retries = 0;
    for (let seed = 0; seed < 150; seed++) {
      const engine = new StepEngine({ seed });
      const [lock, a, b] = lines(engine, 3) as [Address, Address, Address];
      function* writer(cpu: Cpu): Program {
        for (let i = 0; i < 6; i++) {
          yield seqlockWriteLock(cpu, lock.hi, lock.lo);
          yield* load(cpu, a);
          const next = cpu.lo + 1;
          yield* store(cpu, a, next);
          yield* store(cpu, b, next);
          yield seqlockWriteUnlock(cpu, lock.hi, lock.lo);
        }
      }
      function* reader(cpu: Cpu): Program {
        for (let i = 0; i < 10; i++) {
          let first: number;
          let second: number;
          do {
            yield* sequenceReadBegin(cpu, lock.hi, lock.lo);
            const start = cpu.lo;
            yield* load(cpu, a);
            first = cpu.lo;
            yield* load(cpu, b);
            second = cpu.lo;
            yield* sequenceReadRetry(cpu, lock.hi, lock.lo, start);
            retries += cpu.ret;
          } while (cpu.ret === 1);
          expect(first).toBe(second);
        }
      }
      engine.run([writer, writer, reader, reader]);
      expect(engine.peek32(a)).toBe(12);
      expect(engine.peek32(lock)).toBe(24);
    }
    expect(retries).toBeGreaterThan(0);
  });
});

describe('invalidate sequence', () => {
  it('lets no fault map a page that an invalidation has taken away', () => {
    let retried = 0;
    for (let seed = 0; seed < 200; seed++) {
      const engine = new StepEngine({ seed });
      const [lock, sequence, page, mapping] = lines(engine, 4) as [
        Address,
        Address,
        Address,
        Address,
      ];
      engine.boot.write32({ hi: page.hi & 0xffff, lo: page.lo }, 0, 1);
      function* fault(cpu: Cpu): Program {
        for (;;) {
          while (!invalidateSnapshot(cpu, sequence.hi, sequence.lo)) yield;
          const seen = cpu.lo;
          while (!cpu.fence(Fence.DmbIshLd)) yield;
          yield* load(cpu, page);
          const found = cpu.lo;
          yield queuedSpinLock(cpu, lock.hi, lock.lo);
          while (!invalidateInProgress(cpu, sequence.hi, sequence.lo)) yield;
          let retry = cpu.lo !== 0;
          if (!retry) {
            while (!cpu.fence(Fence.DmbIshLd)) yield;
            while (!invalidateSnapshot(cpu, sequence.hi, sequence.lo)) yield;
            retry = cpu.lo !== seen;
          }
          if (!retry) yield* store(cpu, mapping, found);
          while (!queuedSpinUnlock(cpu, lock.hi, lock.lo)) yield;
          if (!retry) return;
          retried++;
        }
      }
      /** Moves the page, as migration does: unmap between begin and end, then the new one. */
      function* notifier(cpu: Cpu): Program {
        for (let next = 2; next < 5; next++) {
          yield queuedSpinLock(cpu, lock.hi, lock.lo);
          yield* invalidateBegin(cpu, sequence.hi, sequence.lo);
          yield* store(cpu, mapping, 0);
          while (!queuedSpinUnlock(cpu, lock.hi, lock.lo)) yield;
          yield* store(cpu, page, next);
          yield queuedSpinLock(cpu, lock.hi, lock.lo);
          yield* invalidateEnd(cpu, sequence.hi, sequence.lo);
          while (!queuedSpinUnlock(cpu, lock.hi, lock.lo)) yield;
        }
      }
      engine.run([fault, notifier, fault]);
      expect([0, engine.peek32(page)], `seed ${seed}`).toContain(engine.peek32(mapping));
    }
    expect(retried).toBeGreaterThan(0);
  });
});
