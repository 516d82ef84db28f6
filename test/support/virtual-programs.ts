/**
 * Hand-written programs on the virtual engine, one worker in this thread: lines of memory with
 * contents, a program per CPU, and what came out.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineDebug, WorkerResult } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { type Address, fromLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import type { RandomImage } from './random-program-memory.ts';
import { bootCase } from './random-program-memory.ts';
import { PLAIN } from './virtual-run.ts';

export interface Ran {
  readonly result: WorkerResult;
  readonly image: RandomImage;
  /** Final clock of a CPU. */
  clock(cpu: number): number;
  counter(cpu: number, counter: number): number;
  /** The word at a linear-map address. */
  word(at: Address): number;
}

export interface RunOptions {
  readonly seed?: number;
  readonly debug?: Partial<EngineDebug>;
  readonly progressLimitPs?: number;
}

/** `programs[i]` runs on CPU i; undefined: the CPU takes no part. */
export function runPrograms(
  machine: Machine,
  programs: readonly (((cpu: Cpu, image: RandomImage) => Program) | undefined)[],
  options: RunOptions = {},
): Ran {
  const booted = bootCase(machine);
  const debug = { ...PLAIN, witness: true, repeats: true, ...options.debug };
  const activeCpus = programs.flatMap((program, cpu) => (program === undefined ? [] : [cpu]));
  const result = runWorker(
    {
      machine,
      memory: booted.memory,
      seed: options.seed ?? 1,
      activeCpus,
      workerCount: 1,
      workerOfCpu: Array.from(machine.nodeOfCpu, () => 0),
      workerOfNode: Array.from(machine.socketOfNode, () => 0),
      perCpuHi: booted.perCpuHi,
      perCpuLo: booted.perCpuLo,
      translation: booted.translation,
      symbols: booted.symbols,
      metricCount: METRICS.length,
      counterCount: COUNTERS.length,
      phaseCount: 1,
      streams: ['think'],
      progressLimitPs: options.progressLimitPs ?? 1e9,
      debug,
      buffers: createEngineBuffers(machine, booted.memory, 1, debug.witness),
    },
    0,
    (cpu) => programs[cpu.id]!(cpu, booted.image),
  );
  const memory = new PhysicalMemory(booted.memory);
  const of = (cpu: number) => result.cpus.find(({ id }) => id === cpu)!;
  return {
    result,
    image: booted.image,
    clock: (cpu) => of(cpu).clockPs,
    counter: (cpu, counter) => of(cpu).counters[counter]!,
    word: (at) => {
      const { hi, lo } = fromLinear(at);
      return memory.peek32(hi, lo);
    },
  };
}
