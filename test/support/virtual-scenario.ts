/**
 * One scenario of the conformance suite on the virtual engine, in this thread with one worker, on
 * any machine and any of its CPUs: for the suite itself and for what counts line transfers.
 */

import { StallError } from '../../src/base/errors.ts';
import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineDebug, EngineSpec } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { bootSeed } from '../../src/run/boot.ts';
import type { Workload, WorkloadContext } from '../../workloads/workload.ts';
import type {
  ConformanceOutcome,
  Scenario,
  ScenarioImage,
  ScenarioParameters,
} from '../conformance/engine.ts';
import { refuseViolations } from './no-violations.ts';

/** 10 ms without progress: no scenario needs a hundredth of it. */
const PROGRESS_LIMIT_PS = 10_000_000_000;

export interface ScenarioPlace {
  readonly machine: Machine;
  /** As many as the scenario's cpuCount. */
  readonly cpus: readonly number[];
  readonly debug: EngineDebug;
}

export function runScenario(
  scenario: Scenario,
  parameters: ScenarioParameters,
  seed: number,
  { machine, cpus, debug }: ScenarioPlace,
): ConformanceOutcome {
  const workload: Pick<Workload, 'name' | 'kernelOptions' | 'backedBytes' | 'boot'> = {
    name: 'scenario',
    kernelOptions: [],
    backedBytes: () => 1 << 16,
    boot: (boot) => scenario.boot(boot, parameters),
  };
  const context: WorkloadContext = {
    machine,
    placement: { cpus, memoryPolicy: 'first-touch', bindNode: 0 },
    parameters: {},
    seed,
  };
  const booted = bootSeed(workload as Workload, context);
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
    streams: ['think'],
    progressLimitPs: PROGRESS_LIMIT_PS,
    debug,
    buffers: createEngineBuffers(machine, booted.memory, 1, debug.witness),
  };
  const image = booted.image as ScenarioImage;
  const result = runWorker(spec, 0, (cpu) => scenario.program(cpu, image, parameters));
  refuseViolations(spec, [result]);
  if (result.ending.kind !== 'finished') throw new StallError(result.ending.report.join('\n'));
  const memory = new PhysicalMemory(booted.memory);
  return {
    image,
    word: (index) => memory.peek32(image.words[index]!.hi & 0xffff, image.words[index]!.lo),
    counter: (counter) => result.cpus.reduce((sum, cpu) => sum + cpu.counters[counter]!, 0),
  };
}
