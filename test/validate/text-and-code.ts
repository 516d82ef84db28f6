/** Kernel text and executable memory beside what was published of them, as two tables. */

import { ftraceRows, ladderClaim, ladderRows, packingRow } from './executable-memory.ts';
import { itlbRows, packClaim } from './itlb.ts';
import { type Claim, type Row, ratioOf } from './row.ts';
import type { Table } from './table.ts';
import { textReplication } from './text-replication.ts';

export interface TextAndCode {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
}

export async function textAndCode(): Promise<TextAndCode> {
  const rows = [...(await ladderRows()), packingRow(), ...(await itlbRows())];
  rows.push(...(await ftraceRows()));
  const claims = [await ladderClaim(), await packClaim(), ...(await textReplication())];
  return { rows, claims };
}

export function textAndCodeTables({ rows, claims }: TextAndCode): Table[] {
  const figures: Table = {
    title: 'Executable memory',
    lines: [
      'The direct map of a VM while sockex1 is loaded, BPF text in packs, iTLB misses by allocator',
      'and call sites of ftrace. Fitted: the aged memory of the VM to its lines (so they are no',
      'test) and the text of the bench to the misses of module_alloc; the rest is predicted.',
    ],
    header: ['figure', 'kind', 'unit', 'published', 'emulated', 'ratio', 'machine', 'note'],
    rows: rows.map((row) => [
      row.name,
      row.kind,
      row.unit,
      number(row.published),
      number(row.emulated),
      ratioOf(row).toFixed(3),
      row.machineHash.slice(0, 12),
      row.note,
    ]),
  };
  const words: Table = {
    title: 'Text and code: signs, shapes and ranges',
    lines: [
      'What was published without a figure of its own, or as a range over unnamed workloads.',
    ],
    header: ['claim', 'published', 'emulated', 'fits', 'machine'],
    rows: claims.map(({ name, published, emulated, fits, machineHash }) => [
      ...[name, published, emulated, fits ? 'yes' : 'no', machineHash.slice(0, 12)],
    ]),
  };
  return [figures, words];
}

function number(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toFixed(value >= 100 ? 1 : 2);
}
