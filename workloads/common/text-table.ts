/** Right-aligned plain-text tables for workload reports, as numactl and MLC print matrices. */

import { threeDigits } from '../../src/base/units.ts';

/** `cells` row by row; a null cell prints as "-". */
export function textTable(
  corner: string,
  columns: readonly string[],
  rows: readonly { readonly name: string; readonly cells: readonly (number | string | null)[] }[],
): string[] {
  const texts = [
    [corner, ...columns],
    ...rows.map((row) => [row.name, ...row.cells.map(cellText)]),
  ];
  const widths = [corner, ...columns].map((_, column) =>
    Math.max(...texts.map((row) => (row[column] ?? '').length)),
  );
  return texts.map((row) =>
    row
      .map((text, column) =>
        column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}

function cellText(cell: number | string | null): string {
  if (cell === null) return '-';
  return typeof cell === 'number' ? threeDigits(cell) : cell;
}
