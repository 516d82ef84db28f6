/**
 * Why figures don't fit, as far as it is known. A misfit is printed with its reason, or as
 * unexplained; it is never made to fit.
 */

import { comesBack, type Row, ratioOf } from './row.ts';

/** A fit or a prediction further off than this is a misfit. */
const PREDICTION_TOLERANCE = 0.2;

interface Reason {
  readonly names: RegExp;
  readonly text: string;
}

const REASONS: readonly Reason[] = [
  {
    names: /^dirtyLog\.before\./,
    text:
      'flat times say that the published host spends about two thirds of a fault under mmu_lock ' +
      '(577 of 849 ns), the emulated one less than half; 1 and 2 vCPUs alone cannot tell the ' +
      'part under the lock from the rest, and the host is not named',
  },
  {
    names: /^dirtyLog\.after\./,
    text:
      'from 16 vCPUs on a fault takes as long as a few contended atomics on mmap_lock and ' +
      'mmu_lock, so it shows the line transfer of the host; the emulated machine has that of ' +
      'Graviton2, the published host is not named',
  },
  {
    names: /^directMap\./,
    text:
      'the published 512 instances split no 1 GiB leaf; here the gigabyte in use has about as ' +
      'many free pages as they take, and the first page of the next one splits a 1 GiB leaf',
  },
  {
    names: /^itlb\.vm\./,
    text:
      'one process that never leaves its CPU: text that nearly fills the second TLB level ' +
      'misses in some sets as often as published, and packed programs relieve them; the ' +
      'published host has a hundred processes on 32 CPUs (switches between them are not ' +
      'emulated, so that they are the difference is a guess) and is not named',
  },
  {
    names: /^itlb\.cpu\./,
    text:
      'text far beyond the second TLB level: packed programs have some 45 pages, executed at ' +
      'every hit, which stay in the first level (128 entries), mapped by pages or by a block',
  },
  {
    names: /^ktext\.privateL2\./,
    text:
      'some lines are still missed: the rows of the table pass through the same L2, which is a ' +
      'guess, as misses were not told apart by what displaced the line',
  },
  {
    names: /^ftrace\./,
    text:
      'sign, not factor: the emulated update leaves out lookups by name and the page-table ' +
      'lock of a poke, and its switches of address spaces and flushes are estimates',
  },
];

export interface Misfit {
  readonly row: Row;
  readonly reason: string;
}

export function misfits(rows: readonly Row[]): Misfit[] {
  return rows.filter(isMisfit).map((row) => ({
    row,
    reason: reasonOf(row.name),
  }));
}

/** Of a row or a claim. */
export function reasonOf(name: string): string {
  return REASONS.find(({ names }) => names.test(name))?.text ?? 'unexplained';
}

function isMisfit(row: Row): boolean {
  if (row.kind === 'figure') return comesBack(row) === false;
  if (row.kind !== 'predicted' && row.kind !== 'fitted') return false;
  return Math.abs(ratioOf(row) - 1) > PREDICTION_TOLERANCE;
}
