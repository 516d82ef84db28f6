/**
 * The parts of a run's report below the latencies: counters in the words of perf and numastat, hot
 * lines by field name in the manner of perf c2c, where the time went, phases, checks, estimates.
 */

import { formatPs, PS_PER_NS } from '../base/units.ts';
import type { RunResult } from '../metrics/result.ts';
import { type Look, paint } from './color.ts';
import { bar } from './sketch.ts';
import { type Column, groupDigits, percent, type Row, renderTable } from './table.ts';

const HOT_LINES_MAX = 10;
const BAR_COLUMNS = 24;

function column(title: string, align: 'left' | 'right', dropOrder = 0): Column {
  return { title, align, dropOrder };
}

export function formatNs(ns: number): string {
  return formatPs(Math.round(ns * PS_PER_NS));
}

/** Counters that are a share of another, as perf stat notes them behind a '#'. */
const SHARES: Readonly<Record<string, readonly [of: string, words: string]>> = {
  'l1.hits': ['accesses', 'of accesses'],
  'l2.hits': ['accesses', 'of accesses'],
  'cache.misses': ['accesses', 'of accesses'],
  'fault.eagain': ['fault.count', 'of faults'],
  'lock.contentions': ['lock.acquisitions', 'of acquisitions'],
  'tlbi.broadcast': ['tlbi.issued', 'of TLBIs'],
};

/** Counters per thousand of another. */
const RATES: Readonly<Record<string, readonly [of: string, words: string]>> = {
  'dTLB-load-misses': ['accesses', 'per thousand accesses'],
  'iTLB-load-misses': ['instructions.fetched', 'per thousand lines fetched'],
};

/** Pairs of which the second is a share of the sum (local and remote). */
const REMOTE: Readonly<Record<string, string>> = {
  'dram.remote': 'dram.local',
  'transfer.remote': 'transfer.local',
  other_node: 'local_node',
  numa_miss: 'numa_hit',
  'lock.handovers.remote': 'lock.handovers.local',
};

/** Counters that are zero are left out. */
export function countersTable(counters: RunResult['counters'], look: Look): string[] {
  const rows: Row[] = [];
  for (const [name, value] of Object.entries(counters)) {
    if (value !== 0) rows.push({ cells: [groupDigits(value), name, counterNote(name, counters)] });
  }
  if (rows.length === 0) return [];
  return renderTable(
    [column('counter', 'right'), column('', 'left'), column('', 'left', 1)],
    rows,
    look,
  );
}

function counterNote(name: string, counters: RunResult['counters']): string {
  const value = counters[name]!;
  const share = SHARES[name];
  if (share !== undefined && (counters[share[0]] ?? 0) > 0) {
    return `# ${percent(value / counters[share[0]]!)} ${share[1]}`;
  }
  const rate = RATES[name];
  if (rate !== undefined && (counters[rate[0]] ?? 0) > 0) {
    return `# ${((1000 * value) / counters[rate[0]]!).toFixed(2)} ${rate[1]}`;
  }
  const local = REMOTE[name];
  if (local === undefined) return '';
  return `# ${percent(value / (value + (counters[local] ?? 0)))} of both`;
}

export function hotLinesTable(hotLines: RunResult['hotLines'], look: Look): string[] {
  const moved = hotLines
    .map((line) => ({ ...line, total: line.local + line.remote }))
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  if (moved.length === 0) return [];
  const all = moved.reduce((sum, { total }) => sum + total, 0);
  const rows = moved.slice(0, HOT_LINES_MAX).map(({ name, local, remote, total }) => ({
    cells: [
      name,
      groupDigits(total),
      groupDigits(local),
      groupDigits(remote),
      percent(total / all),
      bar(total / all, BAR_COLUMNS, look),
    ],
  }));
  const columns = [
    column('hot line', 'left'),
    column('transfers', 'right'),
    column('local', 'right'),
    column('remote', 'right'),
    column('share', 'right', 1),
    column('', 'left', 2),
  ];
  const lines = renderTable(columns, rows, look);
  const left = moved.length - rows.length;
  if (left > 0) lines.push(paint(`and ${left} more; --json has all`, 'dim', look));
  return lines;
}

export function partsTable(parts: RunResult['parts'], look: Look): string[] {
  const lines: string[] = [];
  for (const whole of new Set(parts.map(({ of }) => of))) {
    const rows = parts
      .filter((part) => part.of === whole)
      .map(({ name, nsPerOperation, share }) => ({
        cells: [
          `  ${name}`,
          formatNs(nsPerOperation),
          percent(share),
          bar(share, BAR_COLUMNS, look),
        ],
      }));
    const columns = [
      column(`where ${whole} went`, 'left'),
      column('per op', 'right'),
      column('share', 'right'),
      column('', 'left', 1),
    ];
    lines.push(...renderTable(columns, rows, look));
  }
  return lines;
}

export function phasesTable(phases: RunResult['phases'], look: Look): string[] {
  if (phases.length === 0) return [];
  const rows = phases.map(({ name, emulatedNs, nsPerOperation, warmUp }): Row => {
    const cells = [
      warmUp === true ? `${name} (warm-up)` : name,
      emulatedNs === null ? '-' : formatNs(emulatedNs),
      nsPerOperation === null ? '-' : formatNs(nsPerOperation),
    ];
    return warmUp === true ? { cells, paint: 'dim' } : { cells };
  });
  const columns = [
    column('phase', 'left'),
    column('emulated', 'right'),
    column('per operation', 'right'),
  ];
  return renderTable(columns, rows, look);
}

/** Checks that passed are one line together. */
export function checksLines(checks: RunResult['checks'], look: Look): string[] {
  const passed = checks.filter(({ ok }) => ok).map(({ name }) => name);
  const lines = passed.length === 0 ? [] : [`checks passed: ${passed.join(', ')}`];
  for (const { name, ok, text } of checks) {
    if (!ok) lines.push(paint(`check FAILED: ${name}: ${text}`, 'red', look));
  }
  return lines;
}

/** "N of M parameters used in this run are estimates: ..." */
export function estimatesLines(estimates: RunResult['estimates'], look: Look): string[] {
  const { used, names } = estimates;
  const head = `${names.length} of ${used} parameters used in this run are estimates`;
  if (names.length === 0) return [head];
  return wrap(`${head}: ${names.join(', ')}`, look.width);
}

/** Breaks at blanks; continuation lines are indented by two. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `  ${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}
