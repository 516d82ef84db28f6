/**
 * Options of bpf_bench and the lines that bench prints (tools/testing/selftests/bpf/bench.c:
 * setup_benchmark; hits_drops_report_progress, hits_drops_report_final, v6.0).
 */

import type { Parameter } from '../../src/base/parameters.ts';
import { formatPs, KIB, MIB, PS_PER_NS, PS_PER_S } from '../../src/base/units.ts';
import { Metric } from '../../src/metrics/definition.ts';
import type { ReportLine, RunFacts, WorkloadContext } from '../workload.ts';
import { PROGRAM_PARAMETERS } from './bpf-program-options.ts';
import { numberOf } from './values.ts';
import { type ResultImage, samplePlan } from './will-it-scale.ts';

/** Of the published runs. */
const PUBLISHED = { programs: 700, warmup: 2, seconds: 100 };

export const BENCH_PARAMETERS: readonly Parameter[] = [
  {
    name: 'programs',
    kind: 'count',
    default: '70',
    minimum: 1,
    maximum: 10_000,
    description: 'programs loaded; the published runs have 700',
  },
  {
    name: 'attached',
    kind: 'count',
    default: '10',
    minimum: 0,
    maximum: 10_000,
    description: 'of these attached to the kprobe; the published runs have 100',
  },
  {
    name: 'warmup',
    alias: 'w',
    kind: 'count',
    default: '4',
    minimum: 0,
    maximum: 1000,
    description: 'samples before the measurement',
  },
  {
    name: 'iterations',
    alias: 'd',
    kind: 'count',
    default: '5',
    minimum: 1,
    maximum: 1000,
    description: 'samples of the measurement',
  },
  {
    name: 'sampleTime',
    kind: 'time',
    unit: 'us',
    default: '100us',
    minimum: 10_000 * PS_PER_NS,
    maximum: 10 * PS_PER_S,
    description: 'emulated length of a sample; bench has 1 s',
  },
  {
    name: 'userText',
    kind: 'size',
    default: '512K',
    minimum: 4 * KIB,
    maximum: 64 * MIB,
    description: 'text that a producer executes between two hits, in pages of 4K',
  },
  {
    name: 'userBlocks',
    kind: 'count',
    default: '40',
    minimum: 0,
    maximum: 100_000,
    description: 'basic blocks of it between two hits',
  },
  ...PROGRAM_PARAMETERS,
];

/** Millions per second of every sample that is measured. */
function ratesOf(
  facts: RunFacts,
  { counts }: ResultImage,
  context: WorkloadContext,
): readonly number[] {
  const { warmup, samples, samplePs } = samplePlan(context);
  const previous = counts.map(() => 0);
  const rates: number[] = [];
  for (let sample = 0; sample < warmup + samples; sample++) {
    let hits = 0;
    counts.forEach(({ hi, lo }, task) => {
      const count = Math.max(previous[task]!, facts.peek32(hi, lo + sample * 4));
      hits += count - previous[task]!;
      previous[task] = count;
    });
    rates.push((hits / samplePs) * 1e6);
  }
  return rates.slice(warmup);
}

export function benchReport(
  facts: RunFacts,
  image: ResultImage,
  context: WorkloadContext,
  loadPhase: number,
): readonly ReportLine[] {
  const producers = image.counts.length;
  const rates = ratesOf(facts, image, context);
  const text = (value: number, width = 8): string => value.toFixed(3).padStart(width);
  const lines = ["Setting up benchmark 'trig-kprobe'...", "Benchmark 'trig-kprobe' started."];
  rates.forEach((rate, index) => {
    lines.push(
      `Iter ${String(index).padStart(3)} (${text(0, 7)}us): hits ${text(rate)}M/s ` +
        `(${text(rate / producers, 7)}M/prod), drops ${text(0)}M/s`,
    );
  });
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const squares = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0);
  const deviation = rates.length > 1 ? Math.sqrt(squares / (rates.length - 1)) : 0;
  lines.push(
    `Summary: hits ${text(mean)} ± ${deviation.toFixed(3)}M/s ` +
      `(${text(mean / producers, 7)}M/prod), drops ${text(0)} ± ${(0).toFixed(3)}M/s`,
    ...loadLines(facts, loadPhase),
    itlbLine(facts, loadPhase),
  );
  const { programs, warmup, samples, samplePs } = {
    ...samplePlan(context),
    programs: numberOf(context.parameters, 'programs'),
  };
  if (programs !== PUBLISHED.programs || samplePs !== PS_PER_S) {
    lines.push(
      `scaled: ${programs} programs (${PUBLISHED.programs}), ${warmup} + ${samples} samples of ` +
        `${formatPs(samplePs)} (${PUBLISHED.warmup} + ${PUBLISHED.seconds} of 1 s); rates are ` +
        'per emulated second',
    );
  }
  return lines.map((line) => ({ text: line }));
}

function loadLines({ latency, counters }: RunFacts, loadPhase: number): string[] {
  const loads = latency(Metric.BpfLoad, null, loadPhase);
  const loaded = loads === null ? 'no program JITed' : `${loads.count} programs JITed, `;
  // Half of them: the mean has the load that makes a pack in it.
  const each = loads === null ? '' : `p50 ${(loads.p50Ns / 1000).toFixed(2)} us`;
  return [`${loaded}${each}; ${counters['bpf.fallbacks'] ?? 0} interpreted`];
}

/**
 * Counters are of the whole run: while programs are loaded and unloaded next to nothing is fetched,
 * so the fetches belong to the two phases between.
 */
function itlbLine({ counters, phases }: RunFacts, loadPhase: number): string {
  const hits = phases.slice(loadPhase + 1, loadPhase + 3).filter((phase) => phase !== null);
  const startNs = Math.min(...hits.map(({ startNs: start }) => start));
  const endNs = Math.max(...hits.map(({ endNs: end }) => end));
  const perMs = (name: string): string =>
    (((counters[name] ?? 0) / (endNs - startNs)) * 1e6).toFixed(0);
  return (
    `iTLB-load-misses: ${perMs('iTLB-load-misses')} k/s, of the first level ` +
    `${perMs('iTLB-load-misses.l1')} k/s, of ${perMs('instructions.fetched')} k lines/s`
  );
}
