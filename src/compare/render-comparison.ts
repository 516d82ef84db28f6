/**
 * A comparison on a terminal: percentiles side by side, each further run with its ratio to the
 * baseline and the spread over seeds, then where the time went, part by part.
 */

import { threeDigits } from '../base/units.ts';
import { PERCENTILES } from '../metrics/histogram.ts';
import { parseHistogramName } from '../metrics/naming.ts';
import { ALL } from '../metrics/recorder.ts';
import { type Look, paint } from '../report/color.ts';
import { type DisplayUnit, inUnit, unitFor } from '../report/latency-table.ts';
import { formatNs, wrap } from '../report/sections.ts';
import { type Column, groupDigits, percent, type Row, renderTable } from '../report/table.ts';
import { type Comparison, FIGURES, type Figure, type Ratio, type RunRatios } from './comparison.ts';

const FIGURE_LABELS: Readonly<Record<string, string>> = Object.fromEntries(
  PERCENTILES.map(({ name, label }) => [name, label]),
);

export interface ComparisonOptions {
  /** Histograms of single nodes and phases too. */
  readonly all: boolean;
}

export function renderComparison(
  comparison: Comparison,
  options: ComparisonOptions,
  look: Look,
): string {
  const { sides, ratios } = comparison;
  const sections = [legendLines(comparison, look), identicalLines(comparison)];
  if (!ratios.every(({ identical }) => identical)) {
    sections.push(
      emulatedTimeTable(comparison, look),
      ...metricNames(comparison, options).map((name) => metricTable(name, comparison, look)),
      partsTable(comparison, look),
    );
  }
  sections.push(footLines(sides.length, ratios, look));
  const texts = sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${texts.join('\n\n')}\n`;
}

/** A, B, ... Z, then R27, R28, ... */
export function sideLetter(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : `R${index + 1}`;
}

function legendLines({ sides }: Comparison, look: Look): string[] {
  return sides.flatMap(({ label, result }, index) => {
    const baseline = index === 0 ? ' (baseline)' : '';
    const what = result === null ? '' : `: ${result.workload} on ${result.machine}`;
    const whatIf = (result?.whatIf ?? []).map((text) =>
      paint(`   what-if: ${text}`, 'yellow', look),
    );
    return [`${paint(sideLetter(index), 'bold', look)}  ${label}${what}${baseline}`, ...whatIf];
  });
}

function identicalLines({ sides, ratios }: Comparison): string[] {
  const digest = sides[0]!.result?.digest ?? null;
  return ratios.flatMap(({ identical }, index) => {
    if (!identical) return [];
    const other = sides[index + 1]!.result?.digest ?? null;
    const why = digest === null || other === null ? 'same histograms' : `same digest ${digest}`;
    return [`A and ${sideLetter(index + 1)} are identical: ${why}`];
  });
}

function columnsFor({ sides }: Comparison, title: string): Column[] {
  const columns: Column[] = [{ title, align: 'left', dropOrder: 0 }];
  sides.forEach((_, index) => {
    const letter = sideLetter(index);
    columns.push({ title: letter, align: 'right', dropOrder: 0 });
    if (index === 0) return;
    columns.push({ title: `${letter}/A`, align: 'right', dropOrder: 0 });
    columns.push({ title: 'over seeds', align: 'left', dropOrder: 1 });
  });
  return columns;
}

function ratioCells(ratio: Ratio | null | undefined): string[] {
  if (ratio === null || ratio === undefined) return ['-', ''];
  const spread =
    ratio.perSeed.length < 2 ? '' : `${threeDigits(ratio.min)}..${threeDigits(ratio.max)}`;
  return [threeDigits(ratio.geometricMean), spread];
}

function emulatedTimeTable(comparison: Comparison, look: Look): string[] {
  const cells = ['emulated time'];
  comparison.sides.forEach(({ emulatedNs }, index) => {
    cells.push(emulatedNs === null ? '-' : formatNs(emulatedNs));
    if (index > 0) cells.push(...ratioCells(comparison.ratios[index - 1]!.emulatedTime));
  });
  return renderTable(columnsFor(comparison, ''), [{ cells }], look);
}

/** Names in the order of the baseline, then those that only other runs have. */
function metricNames({ sides }: Comparison, options: ComparisonOptions): string[] {
  const names = new Set(sides.flatMap(({ histograms }) => Object.keys(histograms)));
  return [...names].filter((name) => {
    const { node, phase } = parseHistogramName(name);
    return options.all || (node === ALL && phase === '');
  });
}

function metricTable(name: string, comparison: Comparison, look: Look): string[] {
  const { sides, ratios } = comparison;
  const known = sides.flatMap(({ histograms }) => histograms[name] ?? []);
  const unit = unitFor(known[0]!);
  const counts: string[] = ['  count'];
  sides.forEach(({ histograms }, index) => {
    const summary = histograms[name];
    counts.push(summary === undefined ? '-' : groupDigits(summary.count));
    if (index > 0) counts.push('', '');
  });
  const rows: Row[] = [{ cells: counts, paint: 'dim' }];
  for (const figure of FIGURES) {
    const values = sides.map(({ histograms }) => histograms[name]?.[figure] ?? null);
    if (values.every((value) => value === null)) continue;
    rows.push({
      cells: figureCells(
        figure,
        values,
        unit,
        ratios.map(({ metrics }) => metrics[name]?.[figure]),
      ),
    });
  }
  return renderTable(columnsFor(comparison, `${name} (${unit.name})`), rows, look);
}

function figureCells(
  figure: Figure,
  values: readonly (number | null)[],
  unit: DisplayUnit,
  ratios: readonly (Ratio | undefined)[],
): string[] {
  const cells = [`  ${FIGURE_LABELS[figure] ?? figure}`];
  values.forEach((value, index) => {
    cells.push(inUnit(value, unit));
    if (index > 0) cells.push(...ratioCells(ratios[index - 1]));
  });
  return cells;
}

/** Where the time of each divided metric went, per operation and in percent, by run. */
function partsTable({ sides }: Comparison, look: Look): string[] {
  const lines: string[] = [];
  for (const whole of new Set(sides.flatMap(({ parts }) => parts.map(({ of }) => of)))) {
    const ofWhole = sides.map(({ parts }) => parts.filter(({ of }) => of === whole));
    const names = new Set(ofWhole.flat().map(({ name }) => name));
    const rows = [...names].map((name): Row => {
      const cells = [`  ${name}`];
      for (const parts of ofWhole) {
        const part = parts.find((candidate) => candidate.name === name);
        cells.push(part === undefined ? '-' : formatNs(part.nsPerOperation));
        cells.push(part === undefined ? '' : percent(part.share));
      }
      return { cells };
    });
    const columns: Column[] = [{ title: `where ${whole} went`, align: 'left', dropOrder: 0 }];
    sides.forEach((_, index) => {
      columns.push({ title: `${sideLetter(index)} each`, align: 'right', dropOrder: 0 });
      columns.push({ title: 'share', align: 'right', dropOrder: 1 });
    });
    lines.push(...renderTable(columns, rows, look));
  }
  return lines;
}

function footLines(runs: number, ratios: readonly RunRatios[], look: Look): string[] {
  const lines: string[] = [];
  const unpaired = ratios.filter(({ seeds, identical }) => seeds.length === 0 && !identical);
  if (unpaired.length > 0) {
    lines.push(
      'no seed in common, so no ratios: run all variants with the same --seed and --repeat',
    );
  }
  const seeds = Math.min(...ratios.map((ratio) => ratio.seeds.length));
  const how =
    seeds > 1
      ? `ratios: geometric mean over ${seeds} seeds, each paired with the same seed of A, ` +
        'and the least and greatest of them'
      : `ratios: one seed; --repeat gives the spread over seeds`;
  if (seeds > 0) lines.push(how);
  lines.push(
    `no verdict: this version has no statistics yet that say whether ${runs === 2 ? 'two runs' : 'runs'} differ`,
  );
  return lines.flatMap((line) => wrap(line, look.width)).map((line) => paint(line, 'dim', look));
}
