/**
 * Runs a workload on the virtual engine in this thread, on a bundled machine, with every checker
 * that watches translations, orders and repeats: what `numalab run --threads 1 --check` does,
 * without a worker thread.
 */

import { createEngineBuffers } from '../../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../../src/engine/virtual/run-worker.ts';
import { loadMachine } from '../../../src/machine/catalog.ts';
import { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../../src/metrics/definition.ts';
import { bootSeed } from '../../../src/run/boot.ts';
import { factsOf } from '../../../src/run/facts.ts';
import { resolveOn } from '../../../src/run/resolve-workload.ts';
import { mergeWorkers, type SeedOutcome } from '../../../src/run/result.ts';
import { mapThreads } from '../../../src/run/threads.ts';
import {
  phasesOf,
  type RunFacts,
  type Workload,
  type WorkloadContext,
} from '../../../workloads/workload.ts';
import { refuseViolations } from '../../support/no-violations.ts';

export interface VirtualRun {
  readonly facts: RunFacts;
  readonly outcome: SeedOutcome;
  readonly context: WorkloadContext;
  readonly report: string;
  readonly image: unknown;
}

const DEBUG = { witness: true, shuffle: 0, translations: true, repeats: true };

/** `words`: what follows the workload's name on the command line. */
export function runVirtually(workload: Workload, words: string, machineName?: string): VirtualRun {
  const machine = loadMachine(machineName ?? workload.defaultMachine);
  const assignments = words.split(' ').filter((word) => word !== '' && !word.startsWith('-c'));
  const cpus = /-c(\S+)/.exec(words)?.[1];
  const resolved = resolveOn(machine, workload, {
    assignments,
    like: undefined,
    ...(cpus === undefined ? {} : { cpus }),
  });
  const { placement, parameters } = resolved;
  const context: WorkloadContext = { machine, placement, parameters, seed: 1 };
  const booted = bootSeed(workload, context);
  const phases = phasesOf(workload, context);
  const activeCpus = placement.cpus.toSorted((a, b) => a - b);
  const threads = mapThreads(machine, activeCpus, 1);
  const spec = {
    machine,
    memory: booted.memory,
    seed: context.seed,
    activeCpus,
    ...threads,
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: phases.length,
    streams: workload.streams,
    progressLimitPs: 1e11,
    debug: DEBUG,
    buffers: createEngineBuffers(machine, booted.memory, 1, true),
  };
  const image = structuredClone(booted.image);
  const result = runWorker(spec, 0, (cpu) => workload.program(cpu, image, context));
  refuseViolations(spec, [result]);
  const outcome = mergeWorkers(context.seed, [result], booted.memory);
  const warmUp = phases.map((phase) => phase.warmUp === true);
  const memory = new PhysicalMemory(booted.memory);
  const facts = factsOf(outcome, warmUp, machine.cpuCount, memory);
  const lines = workload.report?.(facts, booted.image, context) ?? [];
  const report = lines.map((line) => line.text).join('\n');
  return { facts, outcome, context, image: booted.image, report };
}
