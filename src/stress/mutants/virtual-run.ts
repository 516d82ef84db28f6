/**
 * A lock under its worst case on the virtual engine, in this thread with one worker: everybody asks
 * again and again. Tells what mutants of performance differ in: lines received per hand-over, and
 * the longest bypass while everybody still asks.
 * Costs are what twice the rounds add, so that beginnings and ends don't count.
 */

import type { Workload, WorkloadContext } from '../../../workloads/workload.ts';
import { assert } from '../../base/assert.ts';
import { PS_PER_NS } from '../../base/units.ts';
import type { Program } from '../../cpu/cpu.ts';
import { createEngineBuffers } from '../../engine/virtual/engine-buffers.ts';
import { runWorker } from '../../engine/virtual/run-worker.ts';
import type { EngineSpec } from '../../engine/virtual/spec.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { COUNTERS, Counter, METRICS } from '../../metrics/definition.ts';
import { bootSeed } from '../../run/boot.ts';
import type { Lock } from '../../sync/lock.ts';
import type { Load, Measured } from '../mutant.ts';
import { stressMachine } from '../targets/stress-machine.ts';

/** 10 ms without progress. */
const PROGRESS_LIMIT_PS = 10_000_000_000;

/**
 * Lines that CPUs received, wherever they came from; acquisitions by others between two of one CPU,
 * until the first CPU has had all of its own.
 */
export type ContendedFigures = Readonly<Record<Measured['figure'], number>>;

interface Contended {
  readonly lines: number;
  /** CPUs in the order in which they got the lock. */
  readonly owners: readonly number[];
}

export function contendedFigures(make: () => Lock, load: Load, seed: number): ContendedFigures {
  const { cpus, rounds } = load;
  const some = contend(make, load, seed);
  const more = contend(make, { ...load, rounds: 2 * rounds }, seed);
  return {
    'lines per hand-over': (more.lines - some.lines) / (rounds * cpus),
    'longest bypass': longestBypass(more.owners, cpus, 2 * rounds),
  };
}

function contend(make: () => Lock, load: Load, seed: number): Contended {
  const spec = specOf(make, load.cpus, seed);
  const { hi, lo } = spec.lock;
  const owners: number[] = [];
  const result = runWorker(spec, 0, function* askAgain(cpu): Program {
    const lock = make();
    for (let round = 0; round < load.rounds; round++) {
      cpu.compute((cpu.random(0) % load.thinkNs) * PS_PER_NS);
      yield lock.acquire(cpu, hi, lo);
      owners.push(cpu.id);
      cpu.compute(load.sectionNs * PS_PER_NS);
      yield lock.release(cpu, hi, lo);
      cpu.mark();
    }
  });
  assert(result.ending.kind === 'finished', 'the run with the lock ended early');
  const sum = (counter: number): number =>
    result.cpus.reduce((all, { counters }) => all + counters[counter]!, 0);
  return { lines: sum(Counter.Misses) - sum(Counter.Upgrades), owners };
}

function specOf(
  make: () => Lock,
  cpuCount: number,
  seed: number,
): EngineSpec & { readonly lock: Address } {
  const machine = stressMachine(cpuCount);
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const workload: Pick<Workload, 'name' | 'kernelOptions' | 'backedBytes' | 'boot'> = {
    name: 'contended lock',
    kernelOptions: [],
    backedBytes: () => 1 << 16,
    boot(boot) {
      const lock = make();
      const physical = boot.allocateNamed('lock', 0, Math.max(lock.bytes, 4), 128);
      lock.init?.(boot, physical);
      return toLinear(physical);
    },
  };
  const placement = { cpus, memoryPolicy: 'first-touch', bindNode: 0 } as const;
  const context: WorkloadContext = { machine, placement, parameters: {}, seed };
  const booted = bootSeed(workload as Workload, context);
  return {
    lock: booted.image as Address,
    machine,
    memory: booted.memory,
    seed,
    activeCpus: cpus,
    workerCount: 1,
    workerOfCpu: Array.from(machine.nodeOfCpu, () => 0),
    workerOfNode: Array.from({ length: machine.nodeCount }, () => 0),
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: 1,
    streams: ['think'],
    progressLimitPs: PROGRESS_LIMIT_PS,
    debug: { witness: false, shuffle: 0, translations: false, repeats: false },
    buffers: createEngineBuffers(machine, booted.memory, 1, false),
  };
}

function longestBypass(owners: readonly number[], cpuCount: number, rounds: number): number {
  const last = new Array<number>(cpuCount).fill(-1);
  const had = new Array<number>(cpuCount).fill(0);
  let longest = 0;
  for (const [i, cpu] of owners.entries()) {
    longest = Math.max(longest, i - last[cpu]! - 1);
    last[cpu] = i;
    if (++had[cpu]! < rounds) continue;
    for (const at of last) longest = Math.max(longest, i - at);
    break;
  }
  return longest;
}
