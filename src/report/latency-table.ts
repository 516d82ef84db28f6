/**
 * Latency percentiles per metric and per node, one unit per metric, three significant digits, with
 * a sketch of each distribution (logarithmic axis, the same for all rows of a metric).
 */

import { threeDigits } from '../base/units.ts';
import { PERCENTILES } from '../metrics/histogram.ts';
import { type NamedHistogram, parseHistogramName } from '../metrics/naming.ts';
import { ALL } from '../metrics/recorder.ts';
import type { HistogramSummary } from '../metrics/result.ts';
import { type Look, paint } from './color.ts';
import { shape, sharedAxis } from './sketch.ts';
import { type Column, groupDigits, type Row, renderTable } from './table.ts';

export interface DisplayUnit {
  readonly name: 'ns' | 'us' | 'ms' | 's';
  readonly ns: number;
}

const UNITS: readonly DisplayUnit[] = [
  { name: 's', ns: 1e9 },
  { name: 'ms', ns: 1e6 },
  { name: 'us', ns: 1e3 },
  { name: 'ns', ns: 1 },
];

/** The unit in which a metric's typical value has one to three digits before the point. */
export function unitFor(summary: HistogramSummary): DisplayUnit {
  const typical = summary.p50 ?? summary.mean;
  return UNITS.find(({ ns }) => typical >= ns) ?? UNITS.at(-1)!;
}

/** '-' = fewer than 10 samples beyond the percentile. */
export function inUnit(valueNs: number | null, unit: DisplayUnit): string {
  return valueNs === null ? '-' : threeDigits(valueNs / unit.ns);
}

const SKETCH_COLUMNS = 12;

const COLUMNS: readonly Column[] = [
  { title: 'latency', align: 'left', dropOrder: 0 },
  { title: '', align: 'left', dropOrder: 0 },
  { title: 'count', align: 'right', dropOrder: 0 },
  { title: 'min', align: 'right', dropOrder: 3 },
  { title: 'mean', align: 'right', dropOrder: 2 },
  ...PERCENTILES.map(({ name, label }): Column => {
    const dropOrder = { p50: 0, p90: 1, p99: 0, p999: 0, p9999: 5 }[name];
    return { title: label, align: 'right', dropOrder };
  }),
  { title: 'max', align: 'right', dropOrder: 0 },
  { title: 'shape (log)', align: 'left', dropOrder: 4 },
];

export const FEW_SAMPLES_NOTE = '-: fewer than 10 samples beyond that percentile';

export interface LatencyTableOptions {
  /** Rows for single phases too. */
  readonly phases: boolean;
}

/** `histograms`: what the sketches are drawn from, by the same names; without, no sketches. */
export function latencyTable(
  summaries: Readonly<Record<string, HistogramSummary>>,
  histograms: readonly NamedHistogram[],
  options: LatencyTableOptions,
  look: Look,
): string[] {
  const byName = new Map(histograms.map(({ name, data }) => [name, data]));
  const rows: Row[] = [];
  for (const [metric, names] of rowsByMetric(Object.keys(summaries), options)) {
    const unit = unitFor(summaries[names[0]!]!);
    const drawn = names.flatMap((name) => byName.get(name) ?? []);
    const axis = drawn.length === 0 ? null : sharedAxis(drawn);
    for (const name of names) {
      const summary = summaries[name]!;
      const data = byName.get(name);
      const sketch =
        data === undefined || axis === null ? '' : shape(data, axis, SKETCH_COLUMNS, look);
      rows.push(
        latencyRow(
          name === metric ? name : `  ${name.slice(metric.length)}`,
          unit,
          summary,
          sketch,
        ),
      );
    }
  }
  if (rows.length === 0) return ['no latencies were recorded'];
  const columns = drawnColumns(histograms.length > 0);
  const lines = renderTable(columns, rows, look);
  if (rows.some(({ cells }) => cells.includes('-')))
    lines.push(paint(FEW_SAMPLES_NOTE, 'dim', look));
  return lines;
}

function drawnColumns(sketches: boolean): readonly Column[] {
  return sketches ? COLUMNS : COLUMNS.slice(0, -1);
}

function latencyRow(
  label: string,
  unit: DisplayUnit,
  summary: HistogramSummary,
  sketch: string,
): Row {
  const cells = [
    label,
    unit.name,
    groupDigits(summary.count),
    inUnit(summary.min, unit),
    inUnit(summary.mean, unit),
    ...PERCENTILES.map(({ name }) => inUnit(summary[name], unit)),
    inUnit(summary.max, unit),
    sketch,
  ];
  return label.startsWith(' ') ? { cells, paint: 'dim' } : { cells };
}

/** Total first; nodes only where there are several; phases on demand. */
function rowsByMetric(
  names: readonly string[],
  options: LatencyTableOptions,
): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const { metric, phase } = parseHistogramName(name);
    if (phase !== '' && !options.phases) continue;
    groups.set(metric, [...(groups.get(metric) ?? []), name]);
  }
  for (const [metric, group] of groups) {
    const nodes = group.filter((name) => parseHistogramName(name).node !== ALL);
    if (nodes.length === 1)
      groups.set(
        metric,
        group.filter((name) => name !== nodes[0]),
      );
  }
  return groups;
}
