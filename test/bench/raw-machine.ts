/**
 * Runs programs directly on the virtual engine, in this thread: a machine with the linear map and,
 * for every CPU that takes part, an address space of its own with memory mapped at address 0 in
 * pages of a chosen size. The boot is that of `numalab run`.
 */

import { MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineSpec, WorkerResult } from '../../src/engine/virtual/spec.ts';
import { loadMachine } from '../../src/machine/catalog.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { type BootedMachine, bootSeed } from '../../src/run/boot.ts';
import { mapThreads } from '../../src/run/threads.ts';
import {
  createUserSpace,
  enterUserSpace,
  mapUserPages,
  tableBytes,
  type UserSpace,
} from '../../workloads/common/user-space.ts';
import { phasesOf, type Workload, type WorkloadContext } from '../../workloads/workload.ts';

export interface RawRun<Image> {
  readonly machine: Machine;
  readonly cpus: readonly number[];
  readonly backedBytes: number;
  boot(memory: BootMemory): Image;
  program(cpu: Cpu, image: Image, role: number): Program;
}

export function defaultMachine(): Machine {
  return loadMachine('graviton4_2p');
}

/** CPUs in equal shares from the first `nodes` nodes. */
export function cpusOn(machine: Machine, count: number, nodes: number): number[] {
  const cpus: number[] = [];
  for (let node = 0; node < nodes; node++) {
    const own = [...machine.nodeOfCpu.keys()].filter((cpu) => machine.nodeOfCpu[cpu] === node);
    cpus.push(...own.slice(0, count / nodes));
  }
  return cpus;
}

/** A workload without options, as bootSeed wants it. */
function asWorkload<Image>(run: RawRun<Image>): Workload {
  return {
    name: 'bench',
    description: 'a program of its own',
    source: 'none',
    parameters: [],
    kernelOptions: [],
    seedMoves: [],
    phases: [],
    streams: ['order'],
    defaultMachine: run.machine.name,
    defaultCpus: () => run.cpus.length,
    helperCpus: () => 0,
    runsOnX86: true,
    backedBytes: () => run.backedBytes,
    minimumCpus: 1,
    boot: (memory) => run.boot(memory),
    program: (cpu, image) => {
      const role = run.cpus.indexOf(cpu.id);
      return role < 0 ? null : run.program(cpu, image as Image, role);
    },
  };
}

export function runRaw<Image>(run: RawRun<Image>): WorkerResult {
  const context: WorkloadContext = {
    machine: run.machine,
    placement: { cpus: run.cpus, memoryPolicy: 'first-touch', bindNode: 0 },
    parameters: {},
    seed: 1,
  };
  return runInProcess(asWorkload(run), context);
}

/** One worker, in this thread. Fails if the run ends in another way than by finishing. */
export function runInProcess(
  workload: Workload,
  context: WorkloadContext,
  prepare: (cpu: Cpu) => void = () => {},
): WorkerResult {
  const booted = bootSeed(workload, context);
  const result = runWorker(engineSpec(workload, context, booted), 0, (cpu) => {
    prepare(cpu);
    return workload.program(cpu, booted.image, context);
  });
  if (result.ending.kind !== 'finished') throw new Error(JSON.stringify(result.ending));
  return result;
}

function engineSpec(
  workload: Workload,
  context: WorkloadContext,
  booted: BootedMachine,
): EngineSpec {
  const { machine, placement, seed } = context;
  const threads = mapThreads(machine, placement.cpus, 1);
  return {
    machine,
    memory: booted.memory,
    seed,
    activeCpus: placement.cpus.toSorted((a, b) => a - b),
    workerCount: 1,
    workerOfCpu: threads.workerOfCpu,
    workerOfNode: threads.workerOfNode,
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: Math.max(1, phasesOf(workload, context).length),
    streams: workload.streams,
    progressLimitPs: Number.MAX_SAFE_INTEGER / 4,
    debug: { witness: false, shuffle: 0, translations: false, repeats: false },
    buffers: createEngineBuffers(machine, booted.memory, 1, false),
  };
}

export interface PrivateMemory {
  readonly machine: Machine;
  readonly cpus: readonly number[];
  readonly bytesPerCpu: number;
  readonly pageShift: number;
  /** Runs in the CPU's own space: its memory starts at address 0. */
  program(cpu: Cpu, role: number): Program;
}

/** Every CPU has memory of its own on its node, without contents, at address 0 of its own space. */
export function runOnPrivateMemory(run: PrivateMemory): WorkerResult {
  const { machine, cpus, bytesPerCpu, pageShift } = run;
  const largestShare = Math.max(
    ...Array.from({ length: machine.nodeCount }, (_, node) => cpusOfNode(machine, cpus, node)),
  );
  return runRaw<readonly UserSpace[]>({
    machine,
    cpus,
    backedBytes: MIB + largestShare * tableBytes(bytesPerCpu, pageShift),
    boot: (memory) =>
      cpus.map((cpu) => {
        const node = machine.nodeOfCpu[cpu]!;
        const space = createUserSpace(memory, node);
        const physical = memory.allocateUnbacked(node, bytesPerCpu, 2 ** pageShift);
        mapUserPages(memory, space, { hi: 0, lo: 0 }, physical, bytesPerCpu, pageShift);
        return space;
      }),
    *program(cpu, spaces, role): Program {
      yield* enterUserSpace(cpu, spaces[role]!);
      yield run.program(cpu, role);
    },
  });
}

function cpusOfNode(machine: Machine, cpus: readonly number[], node: number): number {
  return cpus.filter((cpu) => machine.nodeOfCpu[cpu] === node).length;
}
