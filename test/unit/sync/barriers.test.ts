/**
 * Full barriers that only a store buffer shows: each is needed under tso, not missed under sc, and
 * with it nothing fails. Percpu_rw_semaphore (section against grace period), wait queue (state
 * against condition), hazard pointers (published address against its source).
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../src/cpu/operations.ts';
import { PER_CPU_BYTES } from '../../../src/cpu/per-cpu.ts';
import type { MemoryModel } from '../../../src/engine/explore/execution.ts';
import { Explorer } from '../../../src/engine/explore/explorer.ts';
import { runSchedule } from '../../../src/engine/explore/run-schedule.ts';
import { Pct } from '../../../src/engine/explore/strategies/pct.ts';
import { BootMemory } from '../../../src/memory/boot.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import { hazardSteps, makeHazardPointers } from '../../../src/sync/hazard-pointers.ts';
import { LockNode, nodeLo } from '../../../src/sync/lock-nodes.ts';
import { makePercpuSemaphore, percpuSemaphoreSteps } from '../../../src/sync/percpu-rwsem.ts';
import { storeTaskState } from '../../../src/sync/task-state.ts';
import { makeWaitQueue, waitQueueSteps } from '../../../src/sync/wait-queue.ts';
import { load, store } from '../../support/shared-words.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

/** Makes the programs of two CPUs over eight shared lines; they throw when a rule breaks. */
type Scenario = (boot: BootMemory, words: readonly Address[]) => ((cpu: Cpu) => Program)[];

const SCHEDULES = 4000;
/** A drain that comes late: one agent of low priority. */
const PCT = { expectedSteps: 60, depth: 3, fairAfter: 2000 };

/** Number of the first schedule that fails, or -1. */
function firstFailing(model: MemoryModel, scenario: Scenario, schedules = SCHEDULES): number {
  const cpuCount = 2;
  const machine = makeTestMachine({ cpuCount, nodeCount: 1 });
  for (let seed = 0; seed < schedules; seed++) {
    const memory = new PhysicalMemory(PhysicalMemory.allocate(machine.memoryBytesOfNode, 1 << 16));
    const boot = new BootMemory(machine, memory);
    const perCpu = [0, 1].map((cpu) => boot.allocateNamed(`cpu${cpu}`, 0, PER_CPU_BYTES, 4096));
    const words = Array.from({ length: 8 }, () => toLinear(boot.allocate(0, 64)));
    const programs = scenario(boot, words);
    const setup = { machine, memory, symbols: boot.symbols, perCpu, cpuCount };
    const explorer = new Explorer(
      { ...setup, program: (cpu) => programs[cpu.id]!(cpu) },
      { model, seed, stepLimit: 100_000 },
    );
    const result = runSchedule(explorer, new Pct({ ...PCT, seed }), seed);
    if (result.outcome !== 'passed') return seed;
  }
  return -1;
}

function expectBarrier(whole: Scenario, without: Scenario): void {
  expect(firstFailing('tso', without), 'tso shows it').toBeGreaterThanOrEqual(0);
  expect(firstFailing('sc', without, 500), 'sc does not').toBe(-1);
  expect(firstFailing('tso', whole, 500), 'with the barrier').toBe(-1);
}

describe('full barriers', () => {
  it('percpu_rw_semaphore: a section begins before the look at the writers', () => {
    const scenario =
      (changes: Partial<typeof percpuSemaphoreSteps>): Scenario =>
      (boot, [at, inside, gate]) => {
        const lock = makePercpuSemaphore({ ...percpuSemaphoreSteps, ...changes });
        lock.init!(boot, { hi: at!.hi & 0xffff, lo: at!.lo });
        function* reader(cpu: Cpu): Program {
          yield lock.acquireRead(cpu, at!.hi, at!.lo);
          yield* load(cpu, inside!);
          if (cpu.lo !== 0) throw new Error('a reader beside a writer');
          yield* store(cpu, gate!, 1);
          yield lock.releaseRead(cpu, at!.hi, at!.lo);
        }
        function* writer(cpu: Cpu): Program {
          yield lock.acquire(cpu, at!.hi, at!.lo);
          while (!cpu.swap32(inside!.hi, inside!.lo, 1, Order.Relaxed)) yield;
          while (!cpu.swap32(inside!.hi, inside!.lo, 0, Order.Relaxed)) yield;
          yield lock.release(cpu, at!.hi, at!.lo);
        }
        return [reader, writer];
      };
    const enterSection = function* (cpu: Cpu): Program {
      const hi = cpu.perCpuHi(cpu.id);
      const own = nodeLo(cpu, cpu.id, LockNode.EntrySection);
      while (!cpu.load32(hi, own, Order.Relaxed)) yield;
      const next = cpu.lo + 1;
      while (!cpu.store32(hi, own, next, Order.Relaxed)) yield;
    };
    expectBarrier(scenario({}), scenario({ enterSection }));
  });

  it('wait queue: queued before the last look, changed before the look for waiters', () => {
    const scenario =
      (changes: Partial<typeof waitQueueSteps>): Scenario =>
      (_, [at, condition]) => {
        const queue = makeWaitQueue({ ...waitQueueSteps, ...changes });
        function* waiter(cpu: Cpu): Program {
          yield* queue.waitUntil(cpu, at!.hi, at!.lo, false, function* (self) {
            yield* load(self, condition!);
            self.ret = self.lo;
          });
        }
        function* waker(cpu: Cpu): Program {
          yield* store(cpu, condition!, 1);
          yield* queue.wakeUpIfAny(cpu, at!.hi, at!.lo, 1);
        }
        return [waiter, waker];
      };
    const setState: typeof waitQueueSteps.setState = function* (cpu, state) {
      while (!storeTaskState(cpu, state)) yield;
    };
    expectBarrier(scenario({}), scenario({ setState }));
    expectBarrier(scenario({}), scenario({ wakeFence: () => true }));
  });

  it('hazard pointers: an address is published before its source is read again', () => {
    const scenario =
      (changes: Partial<typeof hazardSteps>): Scenario =>
      (boot, [source, first, second, ready]) => {
        const hazards = makeHazardPointers({ ...hazardSteps, ...changes });
        const physical = { hi: source!.hi & 0xffff, lo: source!.lo };
        boot.write64(physical, 0, first!.hi, first!.lo);
        function* reader(cpu: Cpu): Program {
          yield* store(cpu, ready!, 1);
          yield* hazards.protect(cpu, 0, source!.hi, source!.lo);
          yield* load(cpu, { hi: cpu.hi, lo: cpu.lo });
          if (cpu.lo !== 0) throw new Error('a reader sees a freed object');
          yield* hazards.clear(cpu, 0);
        }
        function* writer(cpu: Cpu): Program {
          const { hi, lo } = ready!;
          while (!cpu.cond32(hi, lo, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
          const to = second!;
          while (!cpu.swap64(source!.hi, source!.lo, to.hi, to.lo, Order.AcquireRelease)) yield;
          yield* hazards.retire(cpu, cpu.hi, cpu.lo);
          yield* hazards.reclaim(cpu, function* (self, freedHi, freedLo) {
            yield* store(self, { hi: freedHi, lo: freedLo }, 1);
          });
        }
        return [reader, writer];
      };
    expectBarrier(scenario({}), scenario({ fence: () => true }));
  });
});
