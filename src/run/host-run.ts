/**
 * Runs a specification on the host engine: one seed after another (side by side they would take
 * each other's cores), each with one thread per CPU; as many seeds as were asked for, or until
 * --time is over. Latencies are of the wall clock, so a result says so and has no digest.
 */

import { phasesOf } from '../../workloads/workload.ts';
import { BugError, CheckError, ExitCode, exitCodeOf, InterruptedError } from '../base/errors.ts';
import { planPins } from '../engine/host/pin.ts';
import { findingText, runHostToEnd } from '../engine/host/run-host.ts';
import { HOST_DEFAULTS, type HostEnding, type HostSpec } from '../engine/host/spec.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../metrics/definition.ts';
import { type BootedMachine, bootSeed } from './boot.ts';
import { factsOf } from './facts.ts';
import { WORKLOAD_PROGRAMS } from './host-program.ts';
import { type HostSeed, hostResultOf, seedFigures } from './host-result.ts';
import { Progress } from './progress.ts';
import { replayCommand } from './replay.ts';
import type { FinishedRun } from './result.ts';
import type { RunSurroundings } from './run.ts';
import { contextOf, type RunSpec } from './run-spec.ts';

/** Nothing moves; nothing is completed. Both in wall-clock time, on a host that may be busy. */
const STALL_MS = 15_000;
const LIVELOCK_MS = 60_000;

export async function runOnHostEngine(
  spec: RunSpec,
  surroundings: RunSurroundings,
): Promise<FinishedRun> {
  const { text: pinText, pins } = await planPins(spec.machine, activeCpus(spec));
  const operationsPerSeed = spec.workload.operations?.(contextOf(spec, spec.seeds[0]!)) ?? 0;
  const plan = { seeds: spec.seeds.length, operationsPerSeed };
  const progress = new Progress(
    spec.timeMs === null ? plan : { seeds: 1, operationsPerSeed: 0 },
    surroundings.progress,
  );
  const startMs = performance.now();
  const seeds: HostSeed[] = [];
  try {
    for (let index = 0; ; index++) {
      const seed = spec.seeds[0]! + index;
      seeds.push(await runSeed(spec, seed, index, pins, progress, surroundings.signal));
      if (seeds.at(-1)!.ending.kind !== 'finished') break;
      progress.seedFinished(index);
      const over =
        spec.timeMs === null
          ? index + 1 >= spec.seeds.length
          : performance.now() - startMs >= spec.timeMs;
      if (over) break;
    }
    return hostResultOf(spec, seeds, pinText);
  } finally {
    progress.stop();
  }
}

function activeCpus(spec: RunSpec): number[] {
  return spec.placement.cpus.toSorted((a, b) => a - b);
}

async function runSeed(
  spec: RunSpec,
  seed: number,
  index: number,
  pins: HostSpec['pins'],
  progress: Progress,
  signal: AbortSignal,
): Promise<HostSeed> {
  if (signal.aborted) throw new InterruptedError('interrupted');
  const booted = bootSeed(spec.workload, contextOf(spec, seed));
  const hostSpec = hostSpecOf(spec, seed, booted, pins);
  const ending = await runHostToEnd(hostSpec, {
    stallMs: STALL_MS,
    livelockMs: LIVELOCK_MS,
    signal,
    progress: (operations) => progress.progress(index, 0, 0, operations),
  });
  if (ending.kind === 'failed') throw withReplay(ending.error, spec, seed);
  if (ending.kind !== 'finished') {
    const finding = ending.kind === 'found' ? findingText(ending.finding, hostSpec) : null;
    return { seed, ending, finding, report: [] };
  }
  const { lostWakes } = ending.result;
  if (lostWakes > 0) throw new BugError(`${lostWakes} wake-ups of the host engine were lost`);
  return { seed, ending, finding: null, report: reportOf(spec, seed, booted, ending) };
}

function hostSpecOf(
  spec: RunSpec,
  seed: number,
  booted: BootedMachine,
  pins: HostSpec['pins'],
): HostSpec {
  const context = contextOf(spec, seed);
  return {
    ...HOST_DEFAULTS,
    machine: spec.machine,
    memory: booted.memory,
    seed,
    activeCpus: activeCpus(spec),
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    streams: spec.workload.streams,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: Math.max(1, phasesOf(spec.workload, context).length),
    program: WORKLOAD_PROGRAMS,
    image: booted.image,
    context: { reference: spec.reference, context },
    computes: true,
    pins,
  };
}

/** The workload's own words; a workload that finds its own sums wrong throws. */
function reportOf(
  spec: RunSpec,
  seed: number,
  booted: BootedMachine,
  ending: HostEnding & { kind: 'finished' },
): readonly string[] {
  const context = contextOf(spec, seed);
  const phases = phasesOf(spec.workload, context);
  const warmUp = phases.length === 0 ? [false] : phases.map((phase) => phase.warmUp === true);
  const figures = seedFigures(seed, ending.result);
  const memory = new PhysicalMemory(booted.memory);
  const facts = factsOf(figures, warmUp, spec.machine.cpuCount, memory);
  const lines = spec.workload.report?.(facts, booted.image, context) ?? [];
  return lines.map(({ text }) => text);
}

/** A run on the host can be made again, though not its interleaving. */
function withReplay(error: Error, spec: RunSpec, seed: number): Error {
  const code = exitCodeOf(error);
  if (code !== ExitCode.Bug && code !== ExitCode.CheckFailed) return error;
  const text = `${error.message}\nseed: ${seed}\nagain: ${replayCommand(spec, seed)}`;
  const told = code === ExitCode.Bug ? new BugError(text) : new CheckError(text);
  told.stack = error.stack ?? '';
  return told;
}
