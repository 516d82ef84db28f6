/** A TLBI as issued, kept so that it can be matched against translations later. */

import { Regime, type Tlbi } from '../cpu/operations.ts';
import { STAGE2_TABLE_TAG_HI, TlbKind } from '../translation/tlb.ts';
import { TlbiMatch } from '../translation/tlbi-match.ts';
import type { TranslationColumns } from './translation-log.ts';

export interface TlbiRecord {
  readonly atPs: number;
  readonly operation: Tlbi;
  readonly context: number;
  readonly hi: number;
  readonly lo: number;
  readonly pages: number;
  readonly granuleShift: number;
}

export function matchOf(record: TlbiRecord): TlbiMatch {
  const { operation, context, hi, lo, pages, granuleShift } = record;
  const match = new TlbiMatch();
  const regime = context >>> 16 === 0 ? Regime.Host : Regime.Guest;
  match.set(operation, regime, context >>> 16, context & 0xffff, hi, lo, pages, granuleShift);
  return match;
}

/** Would the operation take this translation from a TLB? */
export function takes(match: TlbiMatch, rows: TranslationColumns, row: number): boolean {
  return takesEntry(
    match,
    rows.kind[row] as TlbKind,
    rows.context[row]!,
    rows.contextMask[row]!,
    rows.inputHi[row]!,
    rows.inputLo[row]!,
    rows.stage1Shift[row]!,
    rows.permissions[row]!,
  );
}

/** By the kind of array that holds the entry; of a table entry, `permissions` is the stage. */
export function takesEntry(
  match: TlbiMatch,
  kind: TlbKind,
  context: number,
  contextMask: number,
  hi: number,
  lo: number,
  shift: number,
  permissions: number,
): boolean {
  if (kind === TlbKind.Combined) return match.matchesLeaf(context, contextMask, hi, lo, shift);
  if (kind === TlbKind.Stage2Only) return match.matchesStage2(context, hi, lo, shift);
  if (match.lastLevel) return false;
  if (permissions === 1) return match.matchesStage1Table(context, hi, lo, shift);
  return match.matchesStage2(context, hi & ~STAGE2_TABLE_TAG_HI, lo, shift);
}
