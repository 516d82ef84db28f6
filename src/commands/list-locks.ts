/** `list locks`: what distinguishes one lock from another, a column each. */

import { type Column, renderTable } from '../report/table.ts';
import { LOCKS } from '../sync/registry.ts';
import { lookOf } from './terminal.ts';

export interface LockEntry {
  readonly name: string;
  readonly description: string;
  readonly [field: string]: unknown;
}

export function lockEntries(): LockEntry[] {
  return Object.entries(LOCKS).map(([name, { kind, facts, make }]) => {
    const { bytes, bytesPerCpu = 0, bytesPerNode = 0, cpusMax = null } = make();
    const { sleeps = false } = facts;
    return { name, kind, ...facts, sleeps, cpusMax, bytes, bytesPerCpu, bytesPerNode };
  });
}

const COLUMNS: readonly Column[] = [
  { title: 'lock', align: 'left', dropOrder: 0 },
  { title: 'fair', align: 'left', dropOrder: 0 },
  { title: 'queue', align: 'left', dropOrder: 0 },
  { title: 'NUMA', align: 'left', dropOrder: 0 },
  { title: 'sleeps', align: 'left', dropOrder: 1 },
  { title: 'read side', align: 'left', dropOrder: 0 },
  { title: 'bytes', align: 'right', dropOrder: 0 },
  { title: '', align: 'left', dropOrder: 0 },
];

const LEGEND = [
  'fair: first come, first served; NUMA: hands over inside the node first',
  'bytes: of the lock itself, and what it allocates per CPU and node (queue nodes are per CPU)',
  'sources, and lines moved per hand-over: --json',
].join('\n');

function yesOrNot(value: unknown): string {
  return value === true ? 'yes' : '-';
}

function bytesOf({ bytes, bytesPerCpu, bytesPerNode }: LockEntry): string {
  const perCpu = bytesPerCpu === 0 ? '' : ` + ${bytesPerCpu}/CPU`;
  const perNode = bytesPerNode === 0 ? '' : ` + ${bytesPerNode}/node`;
  return `${bytes}${perCpu}${perNode}`;
}

export function locksText(entries: readonly LockEntry[]): string {
  const rows = entries.map((entry) => ({
    cells: [
      entry.name,
      yesOrNot(entry['fair']),
      yesOrNot(entry['queue']),
      yesOrNot(entry['numaAware']),
      yesOrNot(entry['sleeps']),
      entry['readers'] === 'none' ? '-' : String(entry['readers']),
      bytesOf(entry),
      entry.description,
    ],
  }));
  // The description goes last: whole lines are better wrapped by the terminal than cut.
  const look = { ...lookOf('never'), width: Number.POSITIVE_INFINITY };
  return [...renderTable(COLUMNS, rows, look), '', LEGEND].join('\n');
}
