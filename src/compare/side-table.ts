/**
 * Tables with one column for the baseline A and three for each further run: its value, its ratio to
 * A and the spread of that ratio over seeds. Runs that don't fit the width go into a table of their
 * own, so that no spread is ever dropped while a run could move.
 */

import { threeDigits } from '../base/units.ts';
import type { Look, Paint } from '../report/color.ts';
import { type Column, fullWidth, type Row, renderTable } from '../report/table.ts';
import type { Ratio } from './comparison.ts';

/** A, B, ... Z, then R27, R28, ... */
export function sideLetter(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : `R${index + 1}`;
}

/** A line of a table: what A has, and what each further run has. */
export interface SideRow {
  readonly label: string;
  readonly baseline: string;
  /** Value, ratio, spread; by further run. */
  readonly others: readonly (readonly string[])[];
  readonly paint?: Paint;
}

/** One table if it fits the width; else several, each with A and as many further runs as fit. */
export function sideTable(
  title: string,
  rows: readonly SideRow[],
  runs: number,
  look: Look,
): string[] {
  return fittingTables(1, runs, look, (first, count) => chunk(title, rows, first, count));
}

/** Tables of `total` runs from `start` on, each with as many as fit the width, at least one. */
export function fittingTables(
  start: number,
  total: number,
  look: Look,
  build: (first: number, count: number) => [Column[], Row[]],
): string[] {
  const lines: string[] = [];
  const end = start + total;
  for (let first = start; first < end; ) {
    let count = end - first;
    while (count > 1 && fullWidth(...build(first, count)) > look.width) count--;
    lines.push(...renderTable(...build(first, count), look));
    first += count;
  }
  return lines;
}

function chunk(
  title: string,
  rows: readonly SideRow[],
  first: number,
  count: number,
): [Column[], Row[]] {
  const columns: Column[] = [
    { title, align: 'left', dropOrder: 0 },
    { title: 'A', align: 'right', dropOrder: 0 },
  ];
  for (let index = first; index < first + count; index++) {
    const letter = sideLetter(index);
    columns.push({ title: letter, align: 'right', dropOrder: 0 });
    columns.push({ title: `${letter}/A`, align: 'right', dropOrder: 0 });
    columns.push({ title: 'over seeds', align: 'left', dropOrder: 1 });
  }
  const cut = rows.map(({ label, baseline, others, paint: how }): Row => {
    const cells = [label, baseline, ...others.slice(first - 1, first - 1 + count).flat()];
    return how === undefined ? { cells } : { cells, paint: how };
  });
  return [columns, cut];
}

export function ratioCells(ratio: Ratio | null | undefined): string[] {
  if (ratio === null || ratio === undefined) return ['-', ''];
  const spread =
    ratio.perSeed.length < 2 ? '' : `${threeDigits(ratio.min)}..${threeDigits(ratio.max)}`;
  return [threeDigits(ratio.geometricMean), spread];
}
