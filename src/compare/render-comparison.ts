/**
 * A comparison on a terminal: percentiles side by side, each further run with its ratio to the
 * baseline and the spread over seeds, then where the time went, part by part.
 */

import { threeDigits } from '../base/units.ts';
import { PERCENTILES } from '../metrics/histogram.ts';
import { parseHistogramName } from '../metrics/naming.ts';
import { ALL } from '../metrics/recorder.ts';
import type { TimePart } from '../metrics/result.ts';
import { type Look, paint } from '../report/color.ts';
import { inUnit, unitFor } from '../report/latency-table.ts';
import { formatNs, wrap } from '../report/sections.ts';
import { type Column, groupDigits, percent, type Row, renderTable } from '../report/table.ts';
import { type Comparison, FIGURES, type Figure, type RunRatios } from './comparison.ts';
import { fittingTables, ratioCells, type SideRow, sideLetter, sideTable } from './side-table.ts';

export interface ComparisonOptions {
  /** Histograms of single nodes and phases too. */
  readonly all: boolean;
}

export function renderComparison(
  comparison: Comparison,
  options: ComparisonOptions,
  look: Look,
): string {
  const { ratios } = comparison;
  const sections = [legendLines(comparison, look), identicalLines(comparison)];
  if (!ratios.every(({ identical }) => identical)) {
    sections.push(
      emulatedTimeTable(comparison, look),
      ...metricNames(comparison, options).map((name) => metricTable(name, comparison, look)),
      seedTable(metricNames(comparison, { all: false })[0] ?? '', comparison, look),
      partsTable(comparison, look),
    );
  }
  sections.push(footLines(ratios, look));
  const texts = sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${texts.join('\n\n')}\n`;
}

function legendLines({ sides }: Comparison, look: Look): string[] {
  return sides.flatMap(({ label, result }, index) => {
    const baseline = index === 0 ? ' (baseline)' : '';
    const what = result === null ? '' : `: ${result.workload} on ${result.machine}`;
    const whatIf = (result?.whatIf ?? []).map((text) =>
      paint(`   what-if: ${text}`, 'yellow', look),
    );
    const stall = result?.stall === undefined ? '' : `, ended in ${result.stall.kind}`;
    const head = `${paint(sideLetter(index), 'bold', look)}  ${label}${what}${baseline}${stall}`;
    return [head, ...whatIf];
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

function emulatedTimeTable({ sides, ratios }: Comparison, look: Look): string[] {
  const times = sides.map(({ emulatedNs }) => (emulatedNs === null ? '-' : formatNs(emulatedNs)));
  const others = ratios.map(({ emulatedTime }, index) => [
    times[index + 1]!,
    ...ratioCells(emulatedTime),
  ]);
  return sideTable(
    '',
    [{ label: 'emulated time', baseline: times[0]!, others }],
    ratios.length,
    look,
  );
}

/** Names in the order of the baseline, then those that only other runs have. */
function metricNames({ sides }: Comparison, options: ComparisonOptions): string[] {
  const names = new Set(sides.flatMap(({ histograms }) => Object.keys(histograms)));
  return [...names].filter((name) => {
    const { node, phase } = parseHistogramName(name);
    return options.all || (node === ALL && phase === '');
  });
}

function metricTable(name: string, { sides, ratios }: Comparison, look: Look): string[] {
  const known = sides.flatMap(({ histograms }) => histograms[name] ?? []);
  const unit = unitFor(known[0]!);
  const counts = sides.map(({ histograms }) => {
    const summary = histograms[name];
    return summary === undefined ? '-' : groupDigits(summary.count);
  });
  const rows: SideRow[] = [
    {
      label: '  count',
      baseline: counts[0]!,
      others: counts.slice(1).map((count) => [count, '', '']),
      paint: 'dim',
    },
  ];
  for (const figure of FIGURES) {
    const values = sides.map(({ histograms }) => histograms[name]?.[figure] ?? null);
    if (values.every((value) => value === null)) continue;
    const texts = values.map((value) => inUnit(value, unit));
    rows.push({
      label: `  ${figureLabel(figure)}`,
      baseline: texts[0]!,
      others: ratios.map(({ metrics }, index) => [
        texts[index + 1]!,
        ...ratioCells(metrics[name]?.[figure]),
      ]),
    });
  }
  return sideTable(`${name} (${unit.name})`, rows, ratios.length, look);
}

function figureLabel(figure: Figure): string {
  return PERCENTILES.find(({ name }) => name === figure)?.label ?? figure;
}

/** The ratios of the first metric seed by seed; the whole is in --json. */
function seedTable(name: string, { ratios }: Comparison, look: Look): string[] {
  const rows: Row[] = [];
  ratios.forEach(({ metrics, seeds, identical }, index) => {
    if (identical || seeds.length < 2) return;
    for (const seed of seeds) {
      const cells = FIGURES.map((figure) => {
        const own = metrics[name]?.[figure]?.perSeed.find((entry) => entry.seed === seed);
        return own === undefined ? '-' : threeDigits(own.ratio);
      });
      rows.push({ cells: [`  ${sideLetter(index + 1)}/A  seed ${seed}`, ...cells] });
    }
  });
  if (rows.length === 0) return [];
  const columns = FIGURES.map((figure): Column => {
    return { title: figureLabel(figure), align: 'right', dropOrder: 0 };
  });
  const title: Column = { title: `${name} by seed`, align: 'left', dropOrder: 0 };
  return renderTable([title, ...columns], rows, look);
}

/** Where the time of each divided metric went, per operation and in percent, by run. */
function partsTable({ sides }: Comparison, look: Look): string[] {
  const wholes = new Set(sides.flatMap(({ parts }) => parts.map(({ of }) => of)));
  return [...wholes].flatMap((whole) => {
    const ofWhole = sides.map(({ parts }) => parts.filter(({ of }) => of === whole));
    const names = [...new Set(ofWhole.flat().map(({ name }) => name))];
    return fittingTables(0, sides.length, look, (first, count) => {
      const columns: Column[] = [{ title: `where ${whole} went`, align: 'left', dropOrder: 0 }];
      for (let index = first; index < first + count; index++) {
        columns.push({ title: `${sideLetter(index)} per op`, align: 'right', dropOrder: 0 });
        columns.push({ title: 'share', align: 'right', dropOrder: 1 });
      }
      const rows = names.map((name): Row => {
        const shown = ofWhole.slice(first, first + count);
        return { cells: [`  ${name}`, ...shown.flatMap((parts) => partCells(name, parts))] };
      });
      return [columns, rows];
    });
  });
}

function partCells(name: string, parts: readonly TimePart[]): string[] {
  const part = parts.find((candidate) => candidate.name === name);
  return part === undefined ? ['-', ''] : [formatNs(part.nsPerOperation), percent(part.share)];
}

function footLines(ratios: readonly RunRatios[], look: Look): string[] {
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
    '-: in some seed fewer than 10 samples lie beyond that percentile, or the run lacks it',
  );
  lines.push(
    'no verdict: the statistics that tell a difference from chance are not in this version',
  );
  return lines.flatMap((line) => wrap(line, look.width)).map((line) => paint(line, 'dim', look));
}
