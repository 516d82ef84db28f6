/** A table of a report, and how it is text or Markdown. */

export interface Table {
  readonly title: string;
  readonly lines: readonly string[];
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function tableText({ title, lines, header, rows }: Table): string {
  return [title, ...lines, '', ...aligned([header, ...rows])].join('\n');
}

/** A section of a Markdown page. */
export function sectionText({ title, lines, header, rows }: Table): string {
  const table = [header, header.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.join(' | ')} |`,
  );
  return [`## ${title}`, '', ...lines, '', ...table].join('\n');
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const last = widths.length - 1;
  return rows.map((row) =>
    row
      .map((cell, column) => (column === last ? cell : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
