/**
 * Runs a specification: seeds side by side on one pool of worker threads, each booted and then run
 * by one or more workers; merges what they give back. The main thread takes part in no barrier, so
 * it hears errors and Ctrl-C while the workers compute.
 */

import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { phasesOf } from '../../workloads/workload.ts';
import { BugError, CheckError, ExitCode, exitCodeOf, InterruptedError } from '../base/errors.ts';
import { createEngineBuffers } from '../engine/virtual/engine-buffers.ts';
import type { EngineSpec, WorkerResult } from '../engine/virtual/spec.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../metrics/definition.ts';
import { raiseAbort } from './abort.ts';
import type { BootedMachine } from './boot.ts';
import { nodeEndpoint } from './comlink-endpoint.ts';
import { factsOf } from './facts.ts';
import { RunPool } from './pool.ts';
import { Progress, type ProgressSink } from './progress.ts';
import { replayCommand } from './replay.ts';
import { type FinishedRun, mergeWorkers, resultOf, type SeedOutcome } from './result.ts';
import { contextOf, type RunSpec } from './run-spec.ts';
import { Silence } from './silence.ts';
import type { EngineTask, RunObserver } from './task.ts';
import { autoWorkerLimit, mapThreads, type ThreadMap } from './threads.ts';

export interface RunSurroundings {
  /** Aborted: the run ends with an InterruptedError and leaves no thread. */
  readonly signal: AbortSignal;
  /** Where progress goes; null = nowhere. */
  readonly progress: ProgressSink | null;
}

/** No completed operation for so long in emulated time is reported as a livelock. */
const PROGRESS_LIMIT_PS = 1e12;

/** Workers per seed, at most: --threads, or what auto may grow to. */
export function workerLimit(spec: RunSpec): number {
  const { cpus } = spec.placement;
  if (spec.threads === 'per-cpu') return cpus.length;
  if (spec.threads !== 'auto') return Math.min(spec.threads, cpus.length);
  const coresLeft = Math.floor(availableParallelism() / spec.jobs);
  return autoWorkerLimit(spec.machine, cpus, coresLeft);
}

export async function runSpecification(
  spec: RunSpec,
  surroundings: RunSurroundings,
): Promise<FinishedRun> {
  const perSeed = workerLimit(spec);
  const context = contextOf(spec, spec.seeds[0]!);
  const progress = new Progress(
    { seeds: spec.seeds.length, operationsPerSeed: spec.workload.operations?.(context) ?? 0 },
    surroundings.progress,
  );
  const pool = new RunPool(perSeed * spec.jobs);
  // One failing seed ends the others, too.
  const stop = new AbortController();
  const signal = AbortSignal.any([surroundings.signal, stop.signal]);
  try {
    const outcomes = await inParallel(spec.seeds, spec.jobs, async (seed, index) => {
      try {
        const run = new SeedRun(spec, seed, index, pool, progress, signal);
        return await run.complete(perSeed);
      } catch (error) {
        stop.abort();
        throw error;
      } finally {
        progress.seedFinished(index);
      }
    });
    return resultOf(spec, outcomes);
  } finally {
    progress.stop();
    await pool.destroy();
  }
}

/** At most `limit` at a time, results in order; the first failure is the one that counts. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  limit: number,
  action: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await action(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  // What stopped because another seed failed is a consequence.
  const cause = failures.find((error) => !(error instanceof InterruptedError)) ?? failures[0];
  if (cause !== undefined) throw cause;
  return results;
}

/** One seed: boot, engine, merge, report. */
class SeedRun {
  readonly #spec: RunSpec;
  readonly #seed: number;
  readonly #index: number;
  readonly #pool: RunPool;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;

  constructor(
    spec: RunSpec,
    seed: number,
    index: number,
    pool: RunPool,
    progress: Progress,
    signal: AbortSignal,
  ) {
    this.#spec = spec;
    this.#seed = seed;
    this.#index = index;
    this.#pool = pool;
    this.#progress = progress;
    this.#signal = signal;
  }

  async complete(workers: number): Promise<SeedOutcome> {
    try {
      const booted = await this.#boot();
      const threads = mapThreads(this.#spec.machine, this.#spec.placement.cpus, workers);
      const results = await this.#runEngine(booted, threads);
      return this.#merge(booted, results);
    } catch (error) {
      throw this.#withReplay(error as Error);
    }
  }

  async #boot(): Promise<BootedMachine> {
    const task = {
      kind: 'boot' as const,
      workload: this.#spec.reference,
      context: contextOf(this.#spec, this.#seed),
    };
    const [booted] = await this.#pool.together<BootedMachine>([task], () => {}, this.#signal);
    return booted!;
  }

  async #runEngine(booted: BootedMachine, threads: ThreadMap): Promise<WorkerResult[]> {
    const spec = this.#engineSpec(booted, threads);
    const channels = Array.from({ length: threads.workerCount }, () => new MessageChannel());
    const silence = new Silence(threads.workerCount);
    const observer: RunObserver = {
      progress: (seedIndex, worker, emulatedPs, operations) => {
        silence.heard();
        this.#progress.progress(seedIndex, worker, emulatedPs, operations);
      },
    };
    for (const { port1 } of channels) Comlink.expose(observer, nodeEndpoint(port1));
    const tasks = channels.map(
      ({ port2 }, worker): EngineTask => ({
        kind: 'engine',
        workload: this.#spec.reference,
        context: contextOf(this.#spec, this.#seed),
        image: booted.image,
        spec,
        worker,
        seedIndex: this.#index,
        port: port2,
      }),
    );
    const abort = (): void => raiseAbort(spec.buffers.control);
    try {
      const all = this.#pool.together<WorkerResult>(tasks, abort, this.#signal, silence.alarm);
      return await all;
    } finally {
      silence.stop();
      for (const { port1 } of channels) port1.close();
    }
  }

  #engineSpec(booted: BootedMachine, threads: ThreadMap): EngineSpec {
    const { machine, placement, workload, check } = this.#spec;
    const phases = phasesOf(workload, contextOf(this.#spec, this.#seed));
    return {
      machine,
      memory: booted.memory,
      seed: this.#seed,
      activeCpus: placement.cpus.toSorted((a, b) => a - b),
      workerCount: threads.workerCount,
      workerOfCpu: threads.workerOfCpu,
      workerOfNode: threads.workerOfNode,
      perCpuHi: booted.perCpuHi,
      perCpuLo: booted.perCpuLo,
      translation: booted.translation,
      symbols: booted.symbols,
      metricCount: METRICS.length,
      counterCount: COUNTERS.length,
      phaseCount: Math.max(1, phases.length),
      streams: workload.streams,
      progressLimitPs: PROGRESS_LIMIT_PS,
      debug: { witness: check, shuffle: 0, translations: check, repeats: check },
      buffers: createEngineBuffers(machine, booted.memory, threads.workerCount, check),
    };
  }

  #merge(booted: BootedMachine, results: readonly WorkerResult[]): SeedOutcome {
    const { machine, workload } = this.#spec;
    const context = contextOf(this.#spec, this.#seed);
    const outcome = mergeWorkers(this.#seed, results, booted.memory);
    if (outcome.ending.kind !== 'finished') return outcome;
    const phases = phasesOf(workload, context);
    const warmUp = phases.length === 0 ? [false] : phases.map((phase) => phase.warmUp === true);
    const memory = new PhysicalMemory(booted.memory);
    const facts = factsOf(outcome, warmUp, machine.cpuCount, memory);
    const report = workload.report?.(facts, booted.image, context) ?? [];
    return { ...outcome, report: report.map((line) => line.text) };
  }

  /** A bug or a violation names the seed and the line that shows it again. */
  #withReplay(error: Error): Error {
    const code = exitCodeOf(error);
    if (code !== ExitCode.Bug && code !== ExitCode.CheckFailed) return error;
    const replay = replayCommand(this.#spec, this.#seed);
    const text = `${error.message}\nseed: ${this.#seed}\nreplay: ${replay}`;
    const told = code === ExitCode.Bug ? new BugError(text) : new CheckError(text);
    told.stack = error.stack ?? '';
    return told;
  }
}
