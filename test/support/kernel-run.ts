/**
 * Programs of kernel code on the virtual engine, in this thread, with every checker on: translated
 * addresses, interrupts, TLBIs and page allocators are the engine's own. For tests of what only
 * works with a kernel map: vmalloc, text, executable memory.
 */

import { StallError } from '../../src/base/errors.ts';
import type { Parameters } from '../../src/base/parameters.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineSpec } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { bootSeed } from '../../src/run/boot.ts';
import type { BootedKernel, Workload } from '../../workloads/workload.ts';
import { refuseViolations } from './no-violations.ts';

const PROGRESS_LIMIT_PS = 100_000_000_000;

export interface KernelTest<Image> {
  readonly machine: Machine;
  readonly cpus: readonly number[];
  readonly backedBytes: number;
  readonly seed?: number;
  readonly streams?: readonly string[];
  /** Families of kernel options; default: execmem. */
  readonly kernelOptions?: Workload['kernelOptions'];
  readonly parameters?: Parameters;
  boot(boot: BootMemory, kernel: BootedKernel): Image;
  program(cpu: Cpu, image: Image): Program | null;
}

export interface KernelOutcome<Image> {
  readonly image: Image;
  readonly memory: PhysicalMemory;
  counter(counter: number): number;
  /** By position in `cpus`. */
  counterOf(position: number, counter: number): number;
  /** Final clocks by position in `cpus`. */
  readonly clocksPs: readonly number[];
}

export function runKernelTest<Image>(test: KernelTest<Image>): KernelOutcome<Image> {
  const { machine, cpus, seed = 1 } = test;
  const workload: Partial<Workload> = {
    name: 'kernel-test',
    kernelOptions: test.kernelOptions ?? ['execmem'],
    backedBytes: () => test.backedBytes,
    boot: (boot, _context, kernel) => test.boot(boot, kernel),
  };
  const placement = { cpus, memoryPolicy: 'first-touch', bindNode: 0 } as const;
  const context = { machine, placement, parameters: test.parameters ?? {}, seed };
  const booted = bootSeed(workload as Workload, context);
  const debug = { witness: true, shuffle: 0, translations: true, repeats: true };
  const spec: EngineSpec = {
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
    streams: test.streams ?? ['a'],
    progressLimitPs: PROGRESS_LIMIT_PS,
    debug,
    buffers: createEngineBuffers(machine, booted.memory, 1, debug.witness),
  };
  const image = booted.image as Image;
  const result = runWorker(spec, 0, (cpu) => test.program(cpu, image));
  if (result.ending.kind !== 'finished') throw new StallError(result.ending.report.join('\n'));
  refuseViolations(spec, [result]);
  return {
    image,
    memory: new PhysicalMemory(booted.memory),
    counter: (counter) => result.cpus.reduce((sum, cpu) => sum + cpu.counters[counter]!, 0),
    counterOf: (position, counter) => result.cpus[position]!.counters[counter]!,
    clocksPs: result.cpus.map(({ clockPs }) => clockPs),
  };
}
