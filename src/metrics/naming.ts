/**
 * Names of histograms in tables, JSON and .hlog tags: `fault.service` (all nodes, all measured
 * phases), `fault.service@node0` (the node of the CPU that waits), `fault.service#dirty-2` (one
 * phase, all nodes). Warm-up phases appear under their own name only and in no total.
 */

import { assert } from '../base/assert.ts';
import { METRICS } from './definition.ts';
import { addAll, byPlace } from './histogram.ts';
import { ALL, type HistogramData } from './recorder.ts';

export interface NamedHistogram {
  readonly name: string;
  readonly data: HistogramData;
}

/** The histograms of one seed. */
export interface SeedHistograms {
  readonly seed: number;
  readonly emulatedNs: number;
  readonly histograms: readonly NamedHistogram[];
}

export interface PhaseName {
  readonly name: string;
  readonly warmUp?: boolean;
}

export function histogramName(metric: string, node: number, phase: string): string {
  return `${metric}${node === ALL ? '' : `@node${node}`}${phase === '' ? '' : `#${phase}`}`;
}

export interface HistogramNameParts {
  readonly metric: string;
  /** ALL = every node. */
  readonly node: number;
  /** '' = every measured phase. */
  readonly phase: string;
}

/** Inverse of histogramName; a name of another tool comes back whole as the metric. */
export function parseHistogramName(name: string): HistogramNameParts {
  const match = /^([^@#]+)(?:@node(\d+))?(?:#(.+))?$/.exec(name);
  if (match === null) return { metric: name, node: ALL, phase: '' };
  return {
    metric: match[1]!,
    node: match[2] === undefined ? ALL : Number(match[2]),
    phase: match[3] ?? '',
  };
}

/**
 * Totals, then nodes, then phases, metric by metric, from histograms by (metric, node, phase) as
 * mergeHistograms returns them.
 */
export function nameHistograms(
  merged: readonly HistogramData[],
  phases: readonly PhaseName[],
): NamedHistogram[] {
  const named: NamedHistogram[] = [];
  for (const [metric, ofMetric] of groupBy(merged, (data) => data.metric)) {
    const definition = METRICS[metric];
    assert(definition !== undefined, `there is no metric ${metric}`);
    const add = (node: number, phase: string, parts: readonly HistogramData[]): void => {
      const sum = addAll(parts);
      named.push({ name: histogramName(definition.name, node, phase), data: sum });
    };
    const measured = ofMetric.filter((data) => phases[data.phase]?.warmUp !== true);
    if (measured.length > 0) add(ALL, '', measured);
    for (const [node, parts] of groupBy(measured, (data) => data.node)) add(node, '', parts);
    for (const [phase, parts] of groupBy(ofMetric, (data) => data.phase)) {
      const name = phases[phase]?.name;
      assert(name !== undefined, `there is no phase ${phase}`);
      add(ALL, name, parts);
    }
  }
  return named;
}

/** Histograms of the same name added up over seeds: for tables and pictures, not for statistics. */
export function mergeSeeds(seeds: readonly SeedHistograms[]): NamedHistogram[] {
  const groups = new Map<string, HistogramData[]>();
  for (const { histograms } of seeds) {
    for (const { name, data } of histograms) {
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [data]);
      else group.push(data);
    }
  }
  const merged = [...groups].map(([name, parts]) => ({ name, data: addAll(parts) }));
  return merged.sort((a, b) => a.data.metric - b.data.metric || nameOrder(a.name, b.name));
}

/** Total, nodes by number, phases as they came (the sort is stable). */
function nameOrder(a: string, b: string): number {
  const left = parseHistogramName(a);
  const right = parseHistogramName(b);
  if (left.metric !== right.metric) return left.metric < right.metric ? -1 : 1;
  const byPhase = (left.phase === '' ? 0 : 1) - (right.phase === '' ? 0 : 1);
  return byPhase || left.node - right.node;
}

function groupBy(
  histograms: readonly HistogramData[],
  key: (data: HistogramData) => number,
): [number, HistogramData[]][] {
  const groups = new Map<number, HistogramData[]>();
  for (const data of [...histograms].sort(byPlace)) {
    const group = groups.get(key(data));
    if (group === undefined) groups.set(key(data), [data]);
    else group.push(data);
  }
  return [...groups].sort(([a], [b]) => a - b);
}
