/** The tables of the locks: hand-overs, readers, and what does not fit its claim, with reasons. */

import { type Claim, LOCK_TOLERANCE } from './lock-claims.ts';
import {
  CPU_COUNTS,
  fitsClaim,
  type LockFigure,
  type LockRow,
  type LockValidation,
  lockFigures,
} from './locks.ts';
import type { Table } from './table.ts';

interface Reason {
  readonly names: RegExp;
  readonly text: string;
}

/** As far as it is known; a claim is corrected in the lock's file, never here. */
const REASONS: readonly Reason[] = [
  {
    names: /^locks\.ttas\.\d+\.lines/,
    text:
      'owners often take the lock again before a waiter does; the lines of these acquisitions ' +
      'count to the hand-overs between',
  },
  {
    names: /^locks\.twa\.\d+\.lines/,
    text:
      "conflict misses: the waiting array has one line at the same offset of every CPU's area, " +
      'all in one set of the caches; few CPUs use more of them each than it has ways ' +
      '(with a 64-way L2: 4.07)',
  },
];

export function lockTables(locks: LockValidation): Table[] {
  return [handOverTable(locks), readerTable(locks), lockMisfitTable(locks)];
}

function handOverTable({ machine, machineHash, rows }: LockValidation): Table {
  const cell = ({ figures }: LockRow, name: string, digits: number): string =>
    figures[name]?.value.toFixed(digits) ?? '';
  const percent = ({ figures }: LockRow): string =>
    `${(100 * figures['betweenNodes']!.value).toFixed(1)} %`;
  return {
    title: 'Locks: claimed vs emulated',
    lines: [
      "Lines received per hand-over to another CPU, arrival included, as each lock's entry in",
      '`numalab list locks` claims (n CPUs); of reader-writer locks, between writers.',
      `${machine}, ${CPU_COUNTS.join(', ')} CPUs on two nodes (locks for two CPUs: 2), always`,
      `contended: 500 ns held, 200 ns between. Machine ${machineHash.slice(0, 12)}.`,
      `Growth: lines with ${CPU_COUNTS.at(-1)} CPUs over those with ${CPU_COUNTS[0]}. Longest ` +
        'bypass: acquisitions by others',
      'between two of one CPU. Fair: index 0.95 and more, nobody else more than twice;',
      'NUMA-aware with bound B: 1 in B between nodes, bypass up to B + n.',
      `Fits: every claim of the row within ${100 * LOCK_TOLERANCE} %; empty: nothing is claimed.`,
    ],
    header: [
      'lock',
      'claimed lines',
      'CPUs',
      'lines',
      'growth',
      'from other node',
      'hand-overs between nodes',
      'Jain index',
      'longest bypass',
      'fits',
    ],
    rows: rows.map((row) => [
      row.lock,
      row.claimed,
      String(row.cpuCount),
      cell(row, 'lines', 2),
      cell(row, 'growth', 2),
      cell(row, 'remoteLines', 2),
      percent(row),
      cell(row, 'jain', 3),
      cell(row, 'bypass', 0),
      verdict(row, ['lines', 'growth', 'betweenNodes', 'jain', 'bypass']),
    ]),
  };
}

function readerTable({ rows }: LockValidation): Table {
  return {
    title: 'Readers: claimed vs emulated',
    lines: [
      'Lines received from other CPUs per read while nobody writes, and all lines that one write',
      "moves after everybody has read. 'All CPUs' are those of the machine: each has its word.",
    ],
    header: ['lock', 'claimed lines', 'CPUs', 'per read', 'one write', 'fits'],
    rows: rows
      .filter(({ figures }) => figures['read'] !== undefined)
      .map((row) => [
        row.lock,
        row.claimed,
        String(row.cpuCount),
        row.figures['read']!.value.toFixed(2),
        row.figures['write']!.value.toFixed(0),
        verdict(row, ['read', 'write']),
      ]),
  };
}

function verdict({ figures }: LockRow, names: readonly string[]): string {
  const verdicts = names.flatMap((name) => {
    const figure = figures[name];
    const fit = figure === undefined ? null : fitsClaim(figure);
    return fit === null ? [] : [fit];
  });
  if (verdicts.length === 0) return '';
  return verdicts.every((fit) => fit) ? 'yes' : 'no';
}

function lockMisfitTable(locks: LockValidation): Table {
  const figures = lockFigures(locks);
  const claimed = figures.filter((figure) => fitsClaim(figure) !== null);
  const off = claimed.filter((figure) => fitsClaim(figure) === false);
  return {
    title: 'Locks: misfits',
    lines: [
      `${claimed.length - off.length} of ${claimed.length} claims hold within ` +
        `${100 * LOCK_TOLERANCE} %. The others, and why:`,
    ],
    header: ['figure', 'claimed', 'emulated', 'unit', 'reason'],
    rows: off.map((figure) => [
      figure.name,
      boundsOf(figure.claim!),
      figure.value.toFixed(2),
      figure.unit,
      reasonOf(figure),
    ]),
  };
}

function reasonOf({ name }: LockFigure): string {
  return REASONS.find(({ names }) => names.test(name))?.text ?? 'unexplained';
}

function boundsOf({ least, most }: Claim): string {
  if (most === Number.POSITIVE_INFINITY) return `${least} and more`;
  return least === most ? String(least) : `${least} to ${most}`;
}
