/** Facts of a finished seed as a workload's report reads them, from what the workers gave back. */

import type { LatencyFacts, RunFacts } from '../../workloads/workload.ts';
import { PS_PER_NS } from '../base/units.ts';
import type { CpuResult } from '../engine/virtual/spec.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { COUNTERS } from '../metrics/definition.ts';
import { addAll, valueAtFractionNs } from '../metrics/histogram.ts';
import type { HistogramData } from '../metrics/recorder.ts';

/** One seed's figures, merged over workers. */
export interface SeedFigures {
  readonly seed: number;
  /** In order of CPU number; CPUs that took part only. */
  readonly cpus: readonly CpuResult[];
  /** Merged, by (metric, node, phase). */
  readonly histograms: readonly HistogramData[];
  readonly emulatedPs: number;
}

/** Phases and CPUs of one part of a profile. */
export interface FactsSlice {
  readonly firstPhase: number;
  readonly warmUp: readonly boolean[];
  readonly cpus: ReadonlySet<number>;
}

/** Facts that a profile can narrow to one of its parts. */
export interface SliceableFacts extends RunFacts {
  slice(slice: FactsSlice): RunFacts;
}

export function factsOf(
  figures: SeedFigures,
  warmUp: readonly boolean[],
  cpuCount: number,
  memory: PhysicalMemory,
): SliceableFacts {
  const all = { firstPhase: 0, warmUp, cpus: new Set(figures.cpus.map((cpu) => cpu.id)) };
  return {
    ...sliceOf(figures, all, cpuCount, memory),
    slice: (slice) => sliceOf(figures, slice, cpuCount, memory),
  };
}

function sliceOf(
  figures: SeedFigures,
  slice: FactsSlice,
  cpuCount: number,
  memory: PhysicalMemory,
): RunFacts {
  const cpus = figures.cpus.filter((cpu) => slice.cpus.has(cpu.id));
  const counters: Record<string, number> = {};
  const countersOfCpu: Record<string, readonly number[]> = {};
  COUNTERS.forEach(({ name }, counter) => {
    const values = new Array<number>(cpuCount).fill(0);
    for (const cpu of cpus) values[cpu.id] = cpu.counters[counter]!;
    countersOfCpu[name] = values;
    counters[name] = values.reduce((sum, value) => sum + value, 0);
  });
  return {
    emulatedNs: figures.emulatedPs / PS_PER_NS,
    phases: slice.warmUp.map((_, index) => phaseFacts(cpus, slice.firstPhase + index)),
    counters,
    countersOfCpu,
    latency: (metric, node, phase) => {
      const matching = figures.histograms.filter((histogram) => {
        if (histogram.metric !== metric) return false;
        if (node !== null && histogram.node !== node) return false;
        const own = histogram.phase - slice.firstPhase;
        if (own < 0 || own >= slice.warmUp.length) return false;
        return phase === null ? !slice.warmUp[own] : own === phase;
      });
      return matching.length === 0 ? null : latencyFacts(addAll(matching));
    },
    peek32: (paHi, paLo) => memory.peek32(paHi, paLo),
  };
}

function latencyFacts(histogram: HistogramData): LatencyFacts {
  return {
    count: histogram.count,
    minNs: histogram.minPs / PS_PER_NS,
    meanNs: histogram.sumPs / histogram.count / PS_PER_NS,
    p50Ns: valueAtFractionNs(histogram, 1, 2),
    p99Ns: valueAtFractionNs(histogram, 99, 100),
    maxNs: histogram.maxPs / PS_PER_NS,
  };
}

/** First start and last end over the CPUs that entered the phase, and what they completed in it. */
export function phaseFacts(
  cpus: readonly CpuResult[],
  phase: number,
): { startNs: number; endNs: number; operations: number } | null {
  let startPs = Number.POSITIVE_INFINITY;
  let endPs = -1;
  let operations = 0;
  for (const cpu of cpus) {
    if (cpu.phaseStartPs[phase]! < 0) continue;
    startPs = Math.min(startPs, cpu.phaseStartPs[phase]!);
    endPs = Math.max(endPs, cpu.phaseEndPs[phase]!);
    operations += cpu.phaseMarks[phase]!;
  }
  if (endPs < 0) return null;
  return { startNs: startPs / PS_PER_NS, endNs: endPs / PS_PER_NS, operations };
}
