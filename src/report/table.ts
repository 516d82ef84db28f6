/**
 * Text tables: the first column left, numbers right-aligned, columns dropped by priority until the
 * table fits the width. Cells are plain text; colour is put on whole padded cells afterwards, so
 * that escape sequences never count as width.
 */

import { type Look, type Paint, paint } from './color.ts';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** 0 is never dropped; of the others the highest goes first. */
  readonly dropOrder: number;
}

export interface Row {
  readonly cells: readonly string[];
  readonly paint?: Paint;
}

const GAP = '  ';

export function renderTable(
  columns: readonly Column[],
  rows: readonly Row[],
  look: Look,
): string[] {
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => textWidth(row.cells[index] ?? ''))),
  );
  const kept = fitting(columns, widths, look.width);
  const line = (cells: readonly string[]): string =>
    kept
      .map((index) => pad(cells[index] ?? '', widths[index]!, columns[index]!.align))
      .join(GAP)
      .trimEnd();
  const title = line(columns.map((column) => column.title));
  return [
    paint(title, 'bold', look),
    ...rows.map((row) => {
      const text = line(row.cells);
      return row.paint === undefined ? text : paint(text, row.paint, look);
    }),
  ];
}

/** Width of the table with every column. */
export function fullWidth(columns: readonly Column[], rows: readonly Row[]): number {
  const lines = renderTable(columns, rows, { width: Infinity, color: false, unicode: true });
  return Math.max(...lines.map(textWidth));
}

/** Indexes of the columns that stay. */
function fitting(columns: readonly Column[], widths: readonly number[], width: number): number[] {
  let kept = columns.map((_, index) => index);
  const total = (): number =>
    kept.reduce((sum, index) => sum + widths[index]! + GAP.length, -GAP.length);
  while (total() > width) {
    const worst = Math.max(...kept.map((index) => columns[index]!.dropOrder));
    if (worst === 0) break;
    kept = kept.filter((index) => columns[index]!.dropOrder !== worst);
  }
  return kept;
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const fill = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** Characters, not UTF-16 units. */
function textWidth(text: string): number {
  return [...text].length;
}

/** 1,234,567. Not toLocaleString: reports look the same in every locale. */
export function groupDigits(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** "12.3 %" */
export function percent(fraction: number): string {
  const value = fraction * 100;
  if (value === 0) return '0 %';
  if (value < 0.1) return '<0.1 %';
  return `${value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} %`;
}
