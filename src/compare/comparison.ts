/**
 * Two or more runs side by side. Runs share their seeds (common random numbers: one seed gives
 * every variant the same inputs), so ratios are taken seed by seed and summed up as a geometric
 * mean with the least and greatest seed. Values shown beside them are of all seeds merged, for the
 * picture only: the replicate is the seed.
 *
 * There is no verdict yet: the spread over seeds is not a confidence interval, and the report says
 * so.
 */

import { assert } from '../base/assert.ts';
import { PERCENTILES, summarise } from '../metrics/histogram.ts';
import { mergeSeeds, type NamedHistogram, type SeedHistograms } from '../metrics/naming.ts';
import type { HistogramData } from '../metrics/recorder.ts';
import type { HistogramSummary, RunResult } from '../metrics/result.ts';
import { timeParts } from '../metrics/time-parts.ts';

/** One run as compare takes it: from memory, from --out's directory, or from an .hlog alone. */
export interface ComparedRun {
  /** The variant's key=value words, or the path. */
  readonly label: string;
  /** null: only histograms are known (.hlog). */
  readonly result: RunResult | null;
  readonly seeds: readonly SeedHistograms[];
}

/** Figures of a histogram that are compared. */
export const FIGURES = ['mean', ...PERCENTILES.map(({ name }) => name), 'max'] as const;
export type Figure = (typeof FIGURES)[number];

/** Ratio of a run to the baseline, per seed and in short. */
export interface Ratio {
  readonly perSeed: readonly { readonly seed: number; readonly ratio: number }[];
  readonly geometricMean: number;
  readonly min: number;
  readonly max: number;
}

export type MetricRatios = Readonly<Partial<Record<Figure, Ratio>>>;

/** One run against the baseline. */
export interface RunRatios {
  readonly run: string;
  /** Same digest (or, where a digest is missing, same histograms in every seed). */
  readonly identical: boolean;
  /** Seeds that both runs have. */
  readonly seeds: readonly number[];
  readonly emulatedTime: Ratio | null;
  /** By histogram name. */
  readonly metrics: Readonly<Record<string, MetricRatios>>;
}

export interface Side {
  readonly label: string;
  /** All seeds merged. */
  readonly histograms: Readonly<Record<string, HistogramSummary>>;
  readonly merged: readonly NamedHistogram[];
  readonly parts: RunResult['parts'];
  readonly emulatedNs: number | null;
  readonly result: RunResult | null;
}

export interface Comparison {
  /** The first is the baseline. */
  readonly sides: readonly Side[];
  /** One per further side. */
  readonly ratios: readonly RunRatios[];
}

export function compareRuns(runs: readonly ComparedRun[]): Comparison {
  const baseline = runs[0];
  assert(baseline !== undefined && runs.length >= 2, 'a comparison takes two runs or more');
  return {
    sides: runs.map(sideOf),
    ratios: runs.slice(1).map((run) => ratiosOf(baseline, run)),
  };
}

function sideOf(run: ComparedRun): Side {
  const merged = mergeSeeds(run.seeds);
  const summaries = merged.map(({ name, data }) => [name, summarise(data)] as const);
  return {
    label: run.label,
    histograms: run.result?.histograms ?? Object.fromEntries(summaries),
    merged,
    parts: run.result?.parts ?? timeParts(merged),
    emulatedNs: run.result?.emulatedNs ?? greatest(run.seeds.map(({ emulatedNs }) => emulatedNs)),
    result: run.result,
  };
}

function greatest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.max(...values);
}

function ratiosOf(baseline: ComparedRun, run: ComparedRun): RunRatios {
  const pairs = pairSeeds(baseline.seeds, run.seeds);
  const metrics: Record<string, MetricRatios> = {};
  for (const name of new Set(baseline.seeds.flatMap(namesOf))) {
    const ofName = pairs.flatMap(({ seed, base, other }) => {
      const left = base.histograms.find((histogram) => histogram.name === name);
      const right = other.histograms.find((histogram) => histogram.name === name);
      if (left === undefined || right === undefined) return [];
      return [{ seed, base: summarise(left.data), other: summarise(right.data) }];
    });
    const figures: Partial<Record<Figure, Ratio>> = {};
    for (const figure of FIGURES) {
      const values = ofName.map(({ seed, base, other }) => ({
        seed,
        base: base[figure],
        other: other[figure],
      }));
      const ratio = ratioOf(values);
      if (ratio !== null) figures[figure] = ratio;
    }
    if (Object.keys(figures).length > 0) metrics[name] = figures;
  }
  return {
    run: run.label,
    identical: areIdentical(baseline, run),
    seeds: pairs.map(({ seed }) => seed),
    emulatedTime: ratioOf(
      pairs.map(({ seed, base, other }) => ({
        seed,
        base: base.emulatedNs,
        other: other.emulatedNs,
      })),
    ),
    metrics,
  };
}

function namesOf({ histograms }: SeedHistograms): string[] {
  return histograms.map(({ name }) => name);
}

interface SeedPair {
  readonly seed: number;
  readonly base: SeedHistograms;
  readonly other: SeedHistograms;
}

function pairSeeds(
  baseline: readonly SeedHistograms[],
  run: readonly SeedHistograms[],
): SeedPair[] {
  const bySeed = new Map(run.map((seedHistograms) => [seedHistograms.seed, seedHistograms]));
  return baseline.flatMap((base) => {
    const other = bySeed.get(base.seed);
    return other === undefined ? [] : [{ seed: base.seed, base, other }];
  });
}

interface ValuePair {
  readonly seed: number;
  readonly base: number | null;
  readonly other: number | null;
}

/** null when some seed lacks the figure: a mean over the seeds that happen to have it would lie. */
function ratioOf(pairs: readonly ValuePair[]): Ratio | null {
  const perSeed: { seed: number; ratio: number }[] = [];
  for (const { seed, base, other } of pairs) {
    if (base === null || other === null) return null;
    // Both 0: equal. A ratio to 0 or of 0 has no geometric mean.
    if (base === 0 && other === 0) perSeed.push({ seed, ratio: 1 });
    else if (base === 0 || other === 0) return null;
    else perSeed.push({ seed, ratio: other / base });
  }
  if (perSeed.length === 0) return null;
  const ratios = perSeed.map(({ ratio }) => ratio);
  const meanLog = ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length;
  const allEqual = ratios.every((ratio) => ratio === ratios[0]);
  return {
    perSeed,
    geometricMean: allEqual ? ratios[0]! : Math.exp(meanLog),
    min: Math.min(...ratios),
    max: Math.max(...ratios),
  };
}

function areIdentical(a: ComparedRun, b: ComparedRun): boolean {
  const left = a.result?.digest ?? null;
  const right = b.result?.digest ?? null;
  if (left !== null && right !== null) return left === right;
  if (a.seeds.length !== b.seeds.length) return false;
  return a.seeds.every((seedA, index) => sameSeed(seedA, b.seeds[index]!));
}

function sameSeed(a: SeedHistograms, b: SeedHistograms): boolean {
  if (a.seed !== b.seed || a.histograms.length !== b.histograms.length) return false;
  const byName = new Map(b.histograms.map(({ name, data }) => [name, data]));
  return a.histograms.every(({ name, data }) => {
    const other = byName.get(name);
    return other !== undefined && sameCounts(data, other);
  });
}

/** Buckets alone: exact facts are not in every source. */
function sameCounts(a: HistogramData, b: HistogramData): boolean {
  if (a.indexes.length !== b.indexes.length || a.count !== b.count) return false;
  return a.indexes.every(
    (index, position) => index === b.indexes[position] && a.counts[position] === b.counts[position],
  );
}
