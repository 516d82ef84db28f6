/**
 * Who disturbs whom: the metrics of a profile as it is, and with each of its parts switched off.
 * A part's metrics are missing where it is off; elsewhere the ratio to the whole profile says what
 * the missing part costs the others: below 1 they were faster without it.
 */

import { METRICS } from '../metrics/definition.ts';
import { parseHistogramName } from '../metrics/naming.ts';
import { ALL } from '../metrics/recorder.ts';
import type { HistogramSummary, RunResult } from '../metrics/result.ts';
import type { Look } from './color.ts';
import { inUnit, unitFor } from './latency-table.ts';
import { type Column, type Row, renderTable } from './table.ts';

/** One run; the first of a table is the profile as it is. */
export interface IsolationSide {
  readonly label: string;
  readonly result: RunResult;
}

type Figure = 'mean' | 'p50' | 'p99';
const FIGURES: readonly Figure[] = ['mean', 'p50', 'p99'];

export function isolationTable(sides: readonly IsolationSide[], look: Look): string[] {
  const columns: Column[] = [
    { title: 'who disturbs whom', align: 'left', dropOrder: 0 },
    { title: '', align: 'left', dropOrder: 0 },
    ...sides.map(({ label }): Column => ({ title: label, align: 'right', dropOrder: 0 })),
  ];
  const rows = metricNames(sides).flatMap((name) => rowsOf(name, sides));
  return [
    ...renderTable(columns, rows, look),
    '(x of the whole profile; below 1: faster without that part)',
  ];
}

/**
 * Metrics that are no part of another: totals and nodes, or, where several parts of the profile
 * have the metric, phase by phase, as a total over parts would change with the mixture alone.
 */
function metricNames(sides: readonly IsolationSide[]): readonly string[] {
  const parts = new Set(METRICS.filter(({ partOf }) => partOf).map(({ name }) => name));
  const { histograms, phases } = sides[0]!.result;
  const measured = new Set(phases.filter(({ warmUp }) => !warmUp).map(({ name }) => name));
  const names = Object.keys(histograms).filter((name) => {
    const { metric, phase } = parseHistogramName(name);
    return !parts.has(metric) && (phase === '' || measured.has(phase));
  });
  const labelsOf = (wanted: string): Set<string> =>
    new Set(
      names.flatMap((name) => {
        const { metric, phase } = parseHistogramName(name);
        return metric === wanted && phase !== '' ? [phase.split(':', 1)[0]!] : [];
      }),
    );
  return names.filter((name) => {
    const { metric, phase } = parseHistogramName(name);
    return labelsOf(metric).size > 1 ? phase !== '' : phase === '';
  });
}

function rowsOf(name: string, sides: readonly IsolationSide[]): Row[] {
  const whole = sides[0]!.result.histograms[name]!;
  const unit = unitFor(whole);
  const { metric, node, phase } = parseHistogramName(name);
  const figures = node === ALL ? FIGURES : FIGURES.slice(2);
  return figures.flatMap((figure, index) => {
    if (whole[figure] === null) return [];
    const own = phase === '' ? metric : `${metric} ${phase}`;
    const title = node === ALL ? (index === 0 ? own : '') : `  @node${node}`;
    const cells = sides.map(({ result }, side) => {
      const figures = result.histograms[name];
      if (figures === undefined || figures[figure] === null) return '-';
      const value = `${inUnit(figures[figure], unit)}${side === 0 ? ` ${unit.name}` : ''}`;
      return side === 0 ? value : `${value} (${ratio(figures, whole, figure)}x)`;
    });
    return [{ cells: [title, figure, ...cells] }];
  });
}

function ratio(own: HistogramSummary, whole: HistogramSummary, figure: Figure): string {
  return (own[figure]! / whole[figure]!).toFixed(2);
}
