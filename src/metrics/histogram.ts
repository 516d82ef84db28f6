/**
 * Arithmetic on recorded histograms: merging (integer addition, so no order of workers or seeds can
 * show), percentiles as HdrHistogram takes them, the short form of reports, and the words that a
 * run's digest is made of.
 */

import { assert } from '../base/assert.ts';
import { PS_PER_NS } from '../base/units.ts';
import { bucketHighestNs, bucketIndex, HIGHEST_NS } from './histogram-layout.ts';
import { ALL, type HistogramData } from './recorder.ts';
import type { HistogramSummary } from './result.ts';

/**
 * A percentile with fewer samples beyond it is not given: it would be an accident, not a figure.
 */
export const SAMPLES_BEYOND = 10;

/** The percentiles of every report, each as a fraction of whole numbers. */
export const PERCENTILES = [
  { name: 'p50', label: 'p50', numerator: 1, denominator: 2 },
  { name: 'p90', label: 'p90', numerator: 9, denominator: 10 },
  { name: 'p99', label: 'p99', numerator: 99, denominator: 100 },
  { name: 'p999', label: 'p99.9', numerator: 999, denominator: 1000 },
  { name: 'p9999', label: 'p99.99', numerator: 9999, denominator: 10000 },
] as const;
export type PercentileName = (typeof PERCENTILES)[number]['name'];

/** By (metric, node, phase): one order for digests, files and tables. */
export function byPlace(a: HistogramData, b: HistogramData): number {
  return a.metric - b.metric || a.node - b.node || a.phase - b.phase;
}

/** Histograms of the same (metric, node, phase) added up, in order of place. */
export function mergeHistograms(histograms: readonly HistogramData[]): HistogramData[] {
  const groups = new Map<string, HistogramData[]>();
  for (const histogram of histograms) {
    const key = `${histogram.metric},${histogram.node},${histogram.phase}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [histogram]);
    else group.push(histogram);
  }
  return [...groups.values()].map(addAll).sort(byPlace);
}

/** The sum of one or more histograms of one metric, whatever their nodes and phases. */
export function addAll(histograms: readonly HistogramData[]): HistogramData {
  const first = histograms[0];
  assert(first !== undefined, 'there is nothing to merge');
  if (histograms.length === 1) return first;
  const buckets = new Map<number, number>();
  let { node, phase, count, minPs, maxPs, sumPs, overflow } = first;
  addBuckets(buckets, first);
  for (const next of histograms.slice(1)) {
    assert(next.metric === first.metric, 'histograms of different metrics cannot be merged');
    if (next.node !== node) node = ALL;
    if (next.phase !== phase) phase = ALL;
    count += next.count;
    minPs = Math.min(minPs, next.minPs);
    maxPs = Math.max(maxPs, next.maxPs);
    sumPs += next.sumPs;
    overflow += next.overflow;
    addBuckets(buckets, next);
  }
  const indexes = Uint32Array.from(buckets.keys()).sort();
  const counts = Float64Array.from(indexes, (index) => buckets.get(index)!);
  return {
    metric: first.metric,
    node,
    phase,
    indexes,
    counts,
    count,
    minPs,
    maxPs,
    sumPs,
    overflow,
  };
}

function addBuckets(buckets: Map<number, number>, histogram: HistogramData): void {
  histogram.indexes.forEach((index, position) => {
    buckets.set(index, (buckets.get(index) ?? 0) + histogram.counts[position]!);
  });
}

/**
 * The value below or at which the fraction of all values lies: the top of the bucket of that rank,
 * as HdrHistogram's getValueAtPercentile gives it. Overflowed values rank as HIGHEST_NS.
 */
export function valueAtFractionNs(
  histogram: HistogramData,
  numerator: number,
  denominator: number,
): number {
  const rank = Math.max(1, Math.ceil((numerator * histogram.count) / denominator));
  let passed = 0;
  for (let position = 0; position < histogram.indexes.length; position++) {
    passed += histogram.counts[position]!;
    if (passed >= rank) return bucketHighestNs(histogram.indexes[position]!);
  }
  return bucketHighestNs(bucketIndex(HIGHEST_NS));
}

/** The percentile in ns within the exact [min, max]; null with too few samples beyond it. */
export function percentileNs(histogram: HistogramData, name: PercentileName): number | null {
  const { numerator, denominator } = PERCENTILES.find((entry) => entry.name === name)!;
  const rank = Math.ceil((numerator * histogram.count) / denominator);
  if (histogram.count - rank < SAMPLES_BEYOND) return null;
  const value = valueAtFractionNs(histogram, numerator, denominator);
  const { minPs, maxPs } = histogram;
  return Math.min(Math.max(value, minPs / PS_PER_NS), maxPs / PS_PER_NS);
}

/** The short form of reports and result.json. Mean, min and max are exact, from picoseconds. */
export function summarise(histogram: HistogramData): HistogramSummary {
  return {
    unit: 'ns',
    count: histogram.count,
    min: histogram.minPs / PS_PER_NS,
    mean: histogram.sumPs / histogram.count / PS_PER_NS,
    p50: percentileNs(histogram, 'p50'),
    p90: percentileNs(histogram, 'p90'),
    p99: percentileNs(histogram, 'p99'),
    p999: percentileNs(histogram, 'p999'),
    p9999: percentileNs(histogram, 'p9999'),
    max: histogram.maxPs / PS_PER_NS,
    ...(histogram.overflow > 0 ? { overflow: histogram.overflow } : {}),
  };
}

/**
 * Feeds a digest: every histogram, every field, as 32-bit words in a fixed order. Takes merged
 * histograms, because which worker recorded a value must not show.
 */
export function foldHistograms(
  merged: readonly HistogramData[],
  update: (word: number) => void,
): void {
  let previous: HistogramData | null = null;
  update(merged.length);
  for (const histogram of merged) {
    assert(previous === null || byPlace(previous, histogram) < 0, 'digests take merged histograms');
    previous = histogram;
    update(histogram.metric);
    update(histogram.node);
    update(histogram.phase);
    foldInteger(histogram.count, update);
    foldInteger(histogram.minPs, update);
    foldInteger(histogram.maxPs, update);
    foldInteger(histogram.sumPs, update);
    foldInteger(histogram.overflow, update);
    update(histogram.indexes.length);
    for (let position = 0; position < histogram.indexes.length; position++) {
      update(histogram.indexes[position]!);
      foldInteger(histogram.counts[position]!, update);
    }
  }
}

function foldInteger(value: number, update: (word: number) => void): void {
  assert(Number.isSafeInteger(value), 'a digest takes integers below 2^53');
  update(value | 0);
  update(Math.floor(value / 0x1_0000_0000) | 0);
}
