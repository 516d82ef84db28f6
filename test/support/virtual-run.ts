/**
 * Runs a random program on the virtual engine (in this thread, or on as many threads as asked for)
 * and on the naive engine, and reduces each run to what must be equal.
 */

import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineDebug, EngineSpec, WorkerResult } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { mergeHistograms } from '../../src/metrics/histogram.ts';
import type { HistogramData } from '../../src/metrics/recorder.ts';
import { digestOf } from '../../src/run/digest.ts';
import { mapThreads } from '../../src/run/threads.ts';
import { type NaiveOutcome, NaiveRun } from '../oracle/naive-engine.ts';
import { refuseViolations } from './no-violations.ts';
import { activeCpusOf, machineOf, programOf, type RandomCase, STREAMS } from './random-program.ts';
import { type BootedCase, bootCase } from './random-program-memory.ts';
import { histogramsOf } from './virtual-histograms.ts';
import type { WorkerPool } from './worker-pool.ts';

export type Threads = number | 'per-cpu';

export interface CpuFacts {
  readonly id: number;
  readonly clockPs: number;
  readonly grantHash: number;
  /** Non-zero counters by name. */
  readonly counters: Readonly<Record<string, number>>;
}

/** What must not depend on the engine or the number of threads. */
export interface Outcome {
  readonly digest: string;
  readonly ending: string;
  readonly cpus: readonly CpuFacts[];
  readonly windows: number;
}

export const PLAIN: EngineDebug = {
  witness: false,
  shuffle: 0,
  translations: false,
  repeats: false,
};
/** 5 ms: no program here needs a tenth of it, except those that are to make no progress. */
function progressLimitPs({ ending }: RandomCase): number {
  return ending === 'no-progress' ? 1e7 : 5e9;
}

export interface Prepared {
  readonly machine: Machine;
  readonly booted: BootedCase;
  readonly spec: EngineSpec;
}

export function prepare(theCase: RandomCase, threads: Threads, debug: EngineDebug): Prepared {
  const machine = machineOf(theCase);
  const activeCpus = activeCpusOf(theCase, machine);
  const booted = bootCase(machine);
  const workers = threads === 'per-cpu' ? activeCpus.length : Math.min(threads, activeCpus.length);
  const map = mapThreads(machine, activeCpus, workers);
  const spec: EngineSpec = {
    machine,
    memory: booted.memory,
    seed: theCase.seed,
    activeCpus,
    workerCount: map.workerCount,
    workerOfCpu: map.workerOfCpu,
    workerOfNode: map.workerOfNode,
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: 3,
    streams: STREAMS,
    progressLimitPs: progressLimitPs(theCase),
    debug,
    buffers: createEngineBuffers(machine, booted.memory, map.workerCount, debug.witness),
  };
  return { machine, booted, spec };
}

/** In this thread, with one worker. */
export function runHere(theCase: RandomCase, debug: Partial<EngineDebug> = {}): Outcome {
  const { machine, booted, spec } = prepare(theCase, 1, { ...PLAIN, ...debug });
  const result = runWorker(spec, 0, programOf(theCase, machine, booted.image));
  refuseViolations(spec, [result]);
  return outcomeOf([result], booted.memory);
}

export async function runOnThreads(
  theCase: RandomCase,
  threads: Threads,
  pool: WorkerPool,
  debug: Partial<EngineDebug> = {},
): Promise<Outcome> {
  const { booted, spec } = prepare(theCase, threads, { ...PLAIN, ...debug });
  const tasks = Array.from({ length: spec.workerCount }, (_, worker) => ({
    theCase,
    spec,
    image: booted.image,
    worker,
  }));
  const results = await pool.run(tasks);
  refuseViolations(spec, results);
  return outcomeOf(results, booted.memory);
}

export function runNaive(theCase: RandomCase): Outcome {
  const { machine, booted, spec } = prepare(theCase, 1, PLAIN);
  const run = new NaiveRun(spec);
  const outcome = run.execute(programOf(theCase, machine, booted.image));
  return naiveOutcome(outcome, booted.memory);
}

function outcomeOf(results: readonly WorkerResult[], memory: PhysicalMemoryBuffers): Outcome {
  const cpus = results.flatMap((result) => result.cpus).toSorted((a, b) => a.id - b.id);
  const histograms = mergeHistograms(results.flatMap((result) => result.histograms));
  return {
    digest: digestOf(cpus, histograms, memory),
    ending: results[0]!.ending.kind,
    cpus: cpus.map((cpu) => factsOf(cpu.id, cpu.clockPs, cpu.grantHash, [...cpu.counters])),
    windows: Math.max(...results.map((result) => result.windows)),
  };
}

function naiveOutcome(outcome: NaiveOutcome, memory: PhysicalMemoryBuffers): Outcome {
  for (const [pa, value] of outcome.memory) {
    new Int32Array(memory.zones[Math.floor(pa / 2 ** 38)]!)[(pa % 2 ** 38) / 4] = value;
  }
  const histograms: HistogramData[] = histogramsOf(outcome.recorded);
  const cpus = outcome.cpus.map((cpu) => ({
    id: cpu.id,
    clockPs: cpu.clockPs,
    counters: Float64Array.from(cpu.counters),
    grantHash: cpu.grantHash,
    phaseStartPs: new Float64Array(0),
    phaseEndPs: new Float64Array(0),
    phaseMarks: new Float64Array(0),
    costUses: new Float64Array(0),
    state: cpu.state,
  }));
  return {
    digest: digestOf(cpus, histograms, memory),
    ending: outcome.cpus.every(({ state }) => state === 'done') ? 'finished' : 'deadlock',
    cpus: outcome.cpus.map((cpu) => factsOf(cpu.id, cpu.clockPs, cpu.grantHash, cpu.counters)),
    windows: 0,
  };
}

function factsOf(
  id: number,
  clockPs: number,
  grantHash: number,
  counters: readonly number[],
): CpuFacts {
  const named = counters.flatMap((value, index) =>
    value === 0 ? [] : [[COUNTERS[index]!.name, value] as const],
  );
  return { id, clockPs, grantHash, counters: Object.fromEntries(named) };
}

/** First differences, for a message that helps: one line per CPU and fact. */
export function differences(a: Outcome, b: Outcome): string[] {
  const lines: string[] = [];
  if (a.ending !== b.ending) lines.push(`ending: ${a.ending} / ${b.ending}`);
  for (const cpu of a.cpus) {
    const other = b.cpus.find(({ id }) => id === cpu.id)!;
    if (cpu.clockPs !== other.clockPs) {
      lines.push(`CPU ${cpu.id}: clock ${cpu.clockPs} / ${other.clockPs}`);
    }
    if (cpu.grantHash !== other.grantHash) lines.push(`CPU ${cpu.id}: grants differ`);
    for (const name of new Set([...Object.keys(cpu.counters), ...Object.keys(other.counters)])) {
      const x = cpu.counters[name] ?? 0;
      const y = other.counters[name] ?? 0;
      if (x !== y) lines.push(`CPU ${cpu.id}: ${name} ${x} / ${y}`);
    }
  }
  if (lines.length === 0 && a.digest !== b.digest) lines.push('histograms or memory');
  return lines;
}
