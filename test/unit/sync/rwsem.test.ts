/**
 * rw_semaphore beyond the common suite: try-lock, downgrade, hand-off to a writer that waited too
 * long, the state after everything is released; and the per-VMA lock on top of it.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import { Cost } from '../../../src/machine/costs.ts';
import { type Address, fromLinear, toLinear } from '../../../src/memory/physical-address.ts';
import {
  initVmaLock,
  vmaEndRead,
  vmaEndWriteAll,
  vmaStartRead,
  vmaStartWrite,
} from '../../../src/sync/per-vma-lock.ts';
import { makeReadWriteSemaphore, sleepingRwsemSteps } from '../../../src/sync/rwsem.ts';
import { HANDOFF, Semaphore, WAITERS } from '../../../src/sync/rwsem-layout.ts';
import { StepEngine } from '../../support/step-engine.ts';

const rwsem = makeReadWriteSemaphore();
const sleeping = makeReadWriteSemaphore(sleepingRwsemSteps, 'rwsem-nospin');

function lines(engine: StepEngine, count: number): Address[] {
  return Array.from({ length: count }, (_, i) => toLinear(engine.boot.allocate(i % 2, 128)));
}

function* load(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
}

function* store(cpu: Cpu, { hi, lo }: Address, value: number): Program {
  while (!cpu.store32(hi, lo, value, Order.Relaxed)) yield;
}

function* raise(cpu: Cpu, word: Address): Program {
  yield* load(cpu, word);
  yield* store(cpu, word, cpu.lo + 1);
}

describe('rw_semaphore', () => {
  it('tries without waiting', () => {
    const engine = new StepEngine();
    const [lock] = lines(engine, 1) as [Address];
    function* program(cpu: Cpu): Program {
      yield* rwsem.tryAcquireRead(cpu, lock.hi, lock.lo);
      expect(cpu.ret).toBe(1);
      yield* rwsem.tryAcquireRead(cpu, lock.hi, lock.lo);
      expect(cpu.ret).toBe(1);
      yield rwsem.releaseRead(cpu, lock.hi, lock.lo);
      yield rwsem.releaseRead(cpu, lock.hi, lock.lo);
      yield rwsem.acquire(cpu, lock.hi, lock.lo);
      yield* rwsem.tryAcquireRead(cpu, lock.hi, lock.lo);
      expect(cpu.ret).toBe(0);
      yield rwsem.release(cpu, lock.hi, lock.lo);
    }
    engine.run([program]);
    expect(engine.peek32(lock, Semaphore.Count)).toBe(0);
  });

  it('downgrades without letting a writer in between', () => {
    for (let seed = 0; seed < 100; seed++) {
      const engine = new StepEngine({ seed, leaps: true });
      const [lock, word] = lines(engine, 2) as [Address, Address];
      function* downgrader(cpu: Cpu): Program {
        for (let i = 0; i < 4; i++) {
          yield rwsem.acquire(cpu, lock.hi, lock.lo);
          yield* raise(cpu, word);
          const mine = engine.peek32(word);
          yield rwsem.downgrade(cpu, lock.hi, lock.lo);
          yield* load(cpu, word);
          expect(cpu.lo, `seed ${seed}`).toBe(mine);
          yield rwsem.releaseRead(cpu, lock.hi, lock.lo);
        }
      }
      engine.run([downgrader, downgrader, downgrader, downgrader]);
      expect(engine.peek32(word)).toBe(16);
    }
  });

  it('is clean after use, sleeps when it may not spin and pays for it', () => {
    let sleeps = 0;
    for (let seed = 0; seed < 60; seed++) {
      const engine = new StepEngine({ seed, leaps: true });
      const [lock, word] = lines(engine, 2) as [Address, Address];
      function* writer(cpu: Cpu): Program {
        for (let i = 0; i < 4; i++) {
          yield sleeping.acquire(cpu, lock.hi, lock.lo);
          yield* raise(cpu, word);
          yield sleeping.release(cpu, lock.hi, lock.lo);
        }
      }
      engine.run([writer, writer, writer]);
      expect(engine.peek32(word)).toBe(12);
      for (const offset of [Semaphore.Count, Semaphore.First, Semaphore.Last, Semaphore.WaitLock]) {
        expect(engine.peek32(lock, offset), `word ${offset}, seed ${seed}`).toBe(0);
      }
      for (const cpu of engine.cpus) {
        const slept = cpu.costs.get(Cost.TaskWake) ?? 0;
        expect(cpu.costs.get(Cost.ContextSwitch) ?? 0).toBe(slept);
        sleeps += slept;
      }
    }
    expect(sleeps).toBeGreaterThan(0);
  });

  it('hands over to a writer that has waited too long, past all who come later', () => {
    let handoffs = 0;
    for (let seed = 0; seed < 60; seed++) {
      let sawHandoff = false;
      const engine = new StepEngine({ seed, leaps: true });
      const [lock, done] = lines(engine, 2) as [Address, Address];
      function* reader(cpu: Cpu): Program {
        for (let i = 0; i < 40; i++) {
          yield sleeping.acquireRead(cpu, lock.hi, lock.lo);
          const count = engine.peek32(lock, Semaphore.Count);
          if ((count & HANDOFF) !== 0) sawHandoff = true;
          yield* load(cpu, lock);
          yield sleeping.releaseRead(cpu, lock.hi, lock.lo);
        }
      }
      function* writer(cpu: Cpu): Program {
        yield sleeping.acquire(cpu, lock.hi, lock.lo);
        yield* store(cpu, done, 1);
        yield sleeping.release(cpu, lock.hi, lock.lo);
      }
      engine.run([reader, writer, reader, writer]);
      expect(engine.peek32(done)).toBe(1);
      expect(engine.peek32(lock, Semaphore.Count) & (HANDOFF | WAITERS)).toBe(0);
      if (sawHandoff) handoffs++;
    }
    expect(handoffs).toBeGreaterThan(0);
  });
});

describe('per-VMA lock', () => {
  it('keeps faults out of a VMA that is being changed, and lets them in afterwards', () => {
    let refused = 0;
    let granted = 0;
    for (let seed = 0; seed < 150; seed++) {
      const engine = new StepEngine({ seed, leaps: true });
      const [mmapLock, sequence, vma, state] = lines(engine, 4) as [
        Address,
        Address,
        Address,
        Address,
      ];
      initVmaLock(engine.boot, fromLinear(vma));
      /** The VMA is two words that a writer makes differ for a while. */
      const second = { hi: state.hi, lo: state.lo + 64 };
      function* fault(cpu: Cpu): Program {
        for (let i = 0; i < 6; i++) {
          yield* vmaStartRead(cpu, vma, sequence);
          if (cpu.ret === 0) {
            refused++;
            continue;
          }
          granted++;
          yield* load(cpu, state);
          const seen = cpu.lo;
          yield* load(cpu, second);
          expect(cpu.lo, `seed ${seed}`).toBe(seen);
          yield* vmaEndRead(cpu, vma);
        }
      }
      function* change(cpu: Cpu): Program {
        for (let i = 0; i < 3; i++) {
          yield rwsem.acquire(cpu, mmapLock.hi, mmapLock.lo);
          yield* vmaStartWrite(cpu, vma, sequence);
          yield* vmaStartWrite(cpu, vma, sequence);
          yield* raise(cpu, state);
          yield* raise(cpu, second);
          yield* vmaEndWriteAll(cpu, sequence);
          yield rwsem.release(cpu, mmapLock.hi, mmapLock.lo);
        }
      }
      engine.run([fault, change, fault, change]);
      expect(engine.peek32(state)).toBe(6);
    }
    expect(refused).toBeGreaterThan(0);
    expect(granted).toBeGreaterThan(0);
  });

  it('waits for the faults inside', () => {
    const engine = new StepEngine();
    const [sequence, vma, inside] = lines(engine, 3) as [Address, Address, Address];
    initVmaLock(engine.boot, fromLinear(vma));
    function* fault(cpu: Cpu): Program {
      yield* vmaStartRead(cpu, vma, sequence);
      expect(cpu.ret).toBe(1);
      yield* store(cpu, inside, 1);
      for (let i = 0; i < 200; i++) yield* load(cpu, inside);
      yield* store(cpu, inside, 2);
      yield* vmaEndRead(cpu, vma);
    }
    function* change(cpu: Cpu): Program {
      while (!cpu.cond32(inside.hi, inside.lo, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
      yield* vmaStartWrite(cpu, vma, sequence);
      expect(engine.peek32(inside)).toBe(2);
    }
    engine.run([fault, change]);
  });
});
