/** Benchmarks as a table, as one JSON object, or as the page test/reports/bench.md. */

import { availableParallelism, cpus } from 'node:os';
import { type Benchmark, isReached, type Measured, type Row, rowOf } from './benchmark.ts';

export interface Finished {
  readonly benchmark: Benchmark;
  readonly measured: Measured;
}

export function asJson(finished: readonly Finished[]): string {
  const rows: Record<string, Row> = {};
  for (const { benchmark, measured } of finished) rows[benchmark.name] = rowOf(benchmark, measured);
  return JSON.stringify(rows, null, 2);
}

const HEADER = ['name', 'value', 'unit', 'bare loop', 'ratio', 'goal', 'reached'];
const LEFT = new Set([0, 2, 5, 6]);

export function asTable(finished: readonly Finished[]): string {
  const rows = [HEADER, ...finished.map(cellsOf)];
  const widths = HEADER.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) =>
        LEFT.has(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
  return [...table, '', ...finished.map(explain)].join('\n');
}

/** `load`: load average of the host before the start. */
export function asMarkdown(finished: readonly Finished[], load: string): string {
  const rows = [HEADER, HEADER.map(() => '---'), ...finished.map(cellsOf)];
  const host = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}`;
  return [
    '# Speed of the emulator',
    '',
    'Written by `npm run bench -- --report`; rates are per second of one core unless they say',
    `otherwise. Host: ${host}, Node ${process.version}, load ${load} before the start.`,
    '',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    ...finished.map((one) => `- ${explain(one)}`),
    '',
  ].join('\n');
}

function cellsOf({ benchmark, measured }: Finished): string[] {
  const row = rowOf(benchmark, measured);
  const reached = isReached(benchmark.goal, row);
  return [
    benchmark.name,
    row.value.toPrecision(3),
    row.unit,
    row.bound === null ? '-' : row.bound.toPrecision(3),
    row.ratio === null ? '-' : row.ratio.toPrecision(2),
    goalText(benchmark),
    reached === null ? '' : reached ? 'yes' : 'no',
  ];
}

function goalText({ goal }: Benchmark): string {
  if (goal === null) return '';
  const figure = goal.of === 'ratio' ? 'ratio ' : '';
  return goal.atLeast === undefined ? `${figure}<= ${goal.atMost}` : `${figure}>= ${goal.atLeast}`;
}

function explain({ benchmark, measured }: Finished): string {
  const note = measured.note === undefined ? '' : ` (${measured.note})`;
  return `${benchmark.name}: ${benchmark.description}${note}; bare loop: ${benchmark.boundIs}`;
}
