/** One seed of a run: boot, engine, merge of what the workers gave back, the workload's report. */

import { MessageChannel } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { phasesOf } from '../../workloads/workload.ts';
import { BugError, CheckError, ExitCode, exitCodeOf, InterruptedError } from '../base/errors.ts';
import { judge, type Verdict } from '../checkers/replay.ts';
import { Abort, raiseAbort } from '../engine/virtual/control.ts';
import { createEngineBuffers } from '../engine/virtual/engine-buffers.ts';
import type { EngineSpec, WorkerResult } from '../engine/virtual/spec.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../metrics/definition.ts';
import { TraceReader } from '../trace/reader-thread.ts';
import type { AutoThreads } from './auto-threads.ts';
import type { BootedMachine } from './boot.ts';
import { nodeEndpoint } from './comlink-endpoint.ts';
import { factsOf } from './facts.ts';
import { outOfMemory } from './out-of-memory.ts';
import type { RunPool } from './pool.ts';
import type { Progress } from './progress.ts';
import { replayCommand } from './replay.ts';
import { mergeWorkers, type SeedOutcome } from './result.ts';
import { contextOf, type RunSpec } from './run-spec.ts';
import { SILENCE_S, Silence } from './silence.ts';
import type { EngineTask, RunObserver } from './task.ts';
import { mapThreads, type ThreadMap } from './threads.ts';
import { hungOutside } from './user-lock-file.ts';

/** No completed operation for so long in emulated time is reported as a livelock. */
const PROGRESS_LIMIT_PS = 1e12;

/** Hears of a worker's progress; true ends the engine (it will be started again). */
type Hear = (
  elapsedMs: number,
  emulatedPs: number,
  operations: number,
  accesses: number,
) => boolean;

export class SeedRun {
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

  /** On exactly so many workers. */
  async complete(workers: number, hear: Hear = () => false): Promise<SeedOutcome> {
    try {
      const booted = await this.#boot();
      const threads = mapThreads(this.#spec.machine, this.#spec.placement.cpus, workers);
      const results = await this.#runEngine(booted, threads, hear);
      return this.#merge(booted, results);
    } catch (error) {
      throw outOfMemory(error as Error, this.#spec, workers) ?? this.#withReplay(error as Error);
    }
  }

  /** On one worker, until the choice says that more would pay. */
  async completeAuto(auto: AutoThreads): Promise<SeedOutcome> {
    if (auto.choice !== 0) return this.complete(auto.choice);
    let restart = false;
    try {
      return await this.complete(1, (elapsedMs, emulatedPs, operations, accesses) => {
        restart ||= auto.consider(elapsedMs, emulatedPs, operations, accesses);
        return restart;
      });
    } catch (error) {
      if (!restart || !(error instanceof InterruptedError) || this.#signal.aborted) throw error;
      return this.complete(auto.choice);
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

  async #runEngine(booted: BootedMachine, threads: ThreadMap, hear: Hear): Promise<WorkerResult[]> {
    const spec = this.#engineSpec(booted, threads);
    const channels = Array.from({ length: threads.workerCount }, () => new MessageChannel());
    const silence = new Silence(threads.workerCount);
    const reader = this.#traceReader();
    const abort = (reason?: number): void => {
      raiseAbort(spec.buffers.control, reason);
      reader?.stop();
    };
    let startedMs = 0;
    const observer: RunObserver = {
      progress: (seedIndex, worker, emulatedPs, operations, accesses) => {
        const now = performance.now();
        if (startedMs === 0) startedMs = now;
        silence.heard();
        this.#progress.progress(seedIndex, worker, emulatedPs, operations);
        if (hear(now - startedMs, emulatedPs, operations, accesses)) abort(Abort.Interrupted);
      },
    };
    for (const { port1 } of channels) Comlink.expose(observer, nodeEndpoint(port1));
    const tasks = channels.map(
      ({ port2 }, worker): EngineTask => ({
        kind: 'engine',
        workload: this.#spec.reference,
        context: {
          ...contextOf(this.#spec, this.#seed),
          ...(reader === null ? {} : { feed: reader.feed }),
        },
        image: booted.image,
        spec,
        worker,
        seedIndex: this.#index,
        port: port2,
      }),
    );
    const { lock } = this.#spec.reference;
    const alarm =
      lock === undefined
        ? silence.alarm
        : silence.alarm.then(() => hungOutside(`${lock.file}: acquire or release`, SILENCE_S));
    try {
      return await this.#pool.together<WorkerResult>(tasks, abort, this.#signal, alarm);
    } finally {
      silence.stop();
      for (const { port1 } of channels) port1.close();
      await reader?.close();
    }
  }

  /** One thread that reads for all CPUs of a trace, from its start. */
  #traceReader(): TraceReader | null {
    const { reference, parameters } = this.#spec;
    if (reference.trace === undefined) return null;
    return new TraceReader(reference.trace, Number(parameters['passes'] ?? 1));
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
    const merged = mergeWorkers(this.#seed, results, booted.memory);
    const outcome = { ...merged, verdicts: this.#judge(booted, results, merged) };
    if (outcome.ending.kind !== 'finished') return outcome;
    const phases = phasesOf(workload, context);
    const warmUp = phases.length === 0 ? [false] : phases.map((phase) => phase.warmUp === true);
    const memory = new PhysicalMemory(booted.memory);
    const facts = factsOf(outcome, warmUp, machine.cpuCount, memory);
    const report = workload.report?.(facts, booted.image, context) ?? [];
    return { ...outcome, report: report.map((line) => line.text) };
  }

  /** Every violation ends with the line that shows it again. */
  #judge(
    booted: BootedMachine,
    results: readonly WorkerResult[],
    outcome: SeedOutcome,
  ): readonly Verdict[] {
    if (!this.#spec.check) return [];
    const logs = results.flatMap((result) => result.logs);
    const verdicts = judge(logs, {
      symbols: booted.symbols,
      bbm: this.#spec.machine.features.bbm,
      finished: outcome.ending.kind === 'finished',
    });
    const replay = replayCommand(this.#spec, this.#seed);
    return verdicts.map((verdict) =>
      verdict.ok ? verdict : { ...verdict, text: `${verdict.text}; replay: ${replay}` },
    );
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
