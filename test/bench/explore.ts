/**
 * Schedules per second of the explore engine, as a share of a bare loop over generators of the same
 * shape: as many programs, chosen at random, which yield in the same places and make the same
 * accesses to a bare array. Per round a load, a store, an atomic and a load of the CPU's own.
 *
 * The bound decides the ratio: generators with a single yield, resumed in one place, are a quarter
 * faster, since the host predicts their branches; against those it is 0.30 (sc) and 0.17 (tso).
 */

import { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import type { MemoryModel } from '../../src/engine/explore/execution.ts';
import { Explorer } from '../../src/engine/explore/explorer.ts';
import { runSchedule } from '../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../src/engine/explore/strategies/random.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { observeExplorer } from '../../src/stress/oracles/all.ts';
import { makeTestMachine } from '../support/test-machine.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { bareRate } from './stopwatch.ts';

const CPUS = 4;
const BACKED_BYTES = 1 << 18;
const PER_ROUND = 4;

function openExplorer(model: MemoryModel, operations: number): Explorer {
  const machine = makeTestMachine({ cpuCount: CPUS, nodeCount: 2 });
  const memory = new PhysicalMemory(
    PhysicalMemory.allocate(machine.memoryBytesOfNode, BACKED_BYTES),
  );
  const boot = new BootMemory(machine, memory);
  const perCpu = Array.from({ length: CPUS }, (_, cpu) =>
    boot.allocateNamed(`cpu${cpu}`, machine.nodeOfCpu[cpu]!, PER_CPU_BYTES, 4096),
  );
  const shared = toLinear(boot.allocateNamed('shared', 0, 64));
  const setup = {
    machine,
    memory,
    symbols: boot.symbols,
    perCpu,
    cpuCount: CPUS,
    program: (cpu: Cpu) => rounds(cpu, shared, operations / PER_ROUND),
  };
  return new Explorer(setup, { model, seed: 1, stepLimit: 10_000 });
}

function* rounds(cpu: Cpu, { hi, lo }: Address, count: number): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const ownLo = cpu.perCpuLo(cpu.id);
  for (let i = 0; i < count; i++) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const value = (cpu.lo + 1) | 0;
    while (!cpu.store32(hi, lo + 4, value, Order.Release)) yield;
    while (!cpu.add32(hi, lo, 1, Order.AcquireRelease)) yield;
    while (!cpu.load32(ownHi, ownLo, Order.Relaxed)) yield;
  }
}

/** The same accesses in the same places, on a bare array. */
function* bareRounds(
  words: Int32Array,
  own: number,
  count: number,
): Generator<undefined, void, undefined> {
  for (let i = 0; i < count; i++) {
    yield;
    const value = (words[0]! + 1) | 0;
    yield;
    words[1] = value;
    yield;
    words[0] = (words[0]! + 1) | 0;
    yield;
    words[2] = words[own]!;
  }
}

/** Schedules of CPUS bare generators, one picked at random per step. */
function bareSchedules(count: number, operations: number): number {
  const words = new Int32Array(16);
  const random = new RandomStream(1, 'bare', 0);
  const live: Generator<undefined, void, undefined>[] = [];
  for (let schedule = 0; schedule < count; schedule++) {
    for (let i = 0; i < CPUS; i++) live[i] = bareRounds(words, 4 + i, operations / PER_ROUND);
    let left = CPUS;
    while (left > 0) {
      const at = random.below(left);
      if (live[at]!.next().done === true) live[at] = live[--left]!;
    }
  }
  return words[0]!;
}

function measure(model: MemoryModel, operations: number, oracles: boolean): Measured {
  const explorer = openExplorer(model, operations);
  if (oracles) explorer.observer = observeExplorer(explorer, {});
  const strategy = new RandomWalk(1);
  const schedules = (3_200_000 / (CPUS * operations)) | 0;
  let steps = 0;
  const value = bareRate(schedules, (count) => {
    steps = 0;
    for (let i = 0; i < count; i++) steps += runSchedule(explorer, strategy, i).steps;
    return steps / count;
  });
  const bound = bareRate(schedules, (count) => bareSchedules(count, operations));
  return { value: value / 1000, bound: bound / 1000, note: `${steps / schedules} steps each` };
}

const BOUND =
  'generators that yield in the same places, one picked at random per step, on a bare array';

export const EXPLORE_BENCHMARKS: readonly Benchmark[] = [
  {
    name: 'explore.sc',
    description: '4 CPUs x 20 operations, sequentially consistent, random strategy',
    boundIs: BOUND,
    unit: 'k schedules/s',
    goal: { of: 'ratio', atLeast: 0.4 },
    measure: () => measure('sc', 20, false),
  },
  {
    name: 'explore.tso',
    description: '4 CPUs x 80 operations, tso, random strategy, oracles on',
    boundIs: BOUND,
    unit: 'k schedules/s',
    goal: { of: 'ratio', atLeast: 0.15 },
    measure: () => measure('tso', 80, true),
  },
];
