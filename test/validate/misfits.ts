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
