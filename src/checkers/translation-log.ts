/**
 * The translations that one CPU read from tables and kept in its TLBs: one row per fill, however
 * many copies the TLB levels hold. A row says when the walk began, when the entry was filled, when
 * it was last used and when the last copy went, so a checker of the whole machine can tell whether
 * anybody used a translation after the page behind it was freed.
 *
 * Only translations that can change are kept: those of users and guests. The kernel's linear map
 * holds for ever and is left to the checks made at once (translation-watch.ts).
 */

import { grown } from './event-log.ts';

/** Rows of one log, if nobody says otherwise. */
const ROWS_MAX = 1 << 21;
const NEVER = Number.POSITIVE_INFINITY;

export const RowKind = {
  /** VA to PA, host stage 1 or both stages. */
  Combined: 0,
  /** IPA to PA. */
  Stage2Only: 1,
  /** Table descriptor of the walk caches: PA is the table's. */
  Table: 2,
} as const;
export type RowKind = (typeof RowKind)[keyof typeof RowKind];

/** A finished log as plain data, columns by row. */
export interface TranslationColumns {
  readonly count: number;
  readonly kind: Uint8Array;
  readonly context: Int32Array;
  /** -1, or the VMID's bits for a global entry. */
  readonly contextMask: Int32Array;
  /** VA, or IPA of a stage-2-only row. */
  readonly inputHi: Int32Array;
  readonly inputLo: Int32Array;
  readonly ipaHi: Int32Array;
  readonly ipaLo: Int32Array;
  readonly paHi: Int32Array;
  readonly paLo: Int32Array;
  readonly permissions: Int32Array;
  readonly stage1Shift: Uint8Array;
  /** 0 = no stage 2. */
  readonly stage2Shift: Uint8Array;
  /** Table base that stage 2 was walked from (stage 1 without stage 2: TTBR). */
  readonly rootHi: Int32Array;
  readonly rootLo: Int32Array;
  readonly walkStartPs: Float64Array;
  readonly filledPs: Float64Array;
  readonly lastUsePs: Float64Array;
  /** -1 = never written through. */
  readonly lastWritePs: Float64Array;
  /** NEVER = still held at the end. */
  readonly removedPs: Float64Array;
  /** CPU whose broadcast TLBI took the last copy (-1 = none), and which of its TLBIs, from 1. */
  readonly takenBy: Int32Array;
  readonly takenBySequence: Int32Array;
}

const COLUMNS = {
  kind: Uint8Array,
  context: Int32Array,
  contextMask: Int32Array,
  inputHi: Int32Array,
  inputLo: Int32Array,
  ipaHi: Int32Array,
  ipaLo: Int32Array,
  paHi: Int32Array,
  paLo: Int32Array,
  permissions: Int32Array,
  stage1Shift: Uint8Array,
  stage2Shift: Uint8Array,
  rootHi: Int32Array,
  rootLo: Int32Array,
  walkStartPs: Float64Array,
  filledPs: Float64Array,
  lastUsePs: Float64Array,
  lastWritePs: Float64Array,
  removedPs: Float64Array,
  takenBy: Int32Array,
  takenBySequence: Int32Array,
} as const;

type Columns = { -readonly [Name in keyof TranslationColumns]: TranslationColumns[Name] };

/** log2 of the bytes that a row translates: the smaller of its stages. */
export function rowShift(columns: TranslationColumns, row: number): number {
  const stage1 = columns.stage1Shift[row]!;
  const stage2 = columns.stage2Shift[row]!;
  return stage2 !== 0 && stage2 < stage1 ? stage2 : stage1;
}

export class TranslationLog {
  readonly rows: Columns;
  /** When the first row was left out. */
  fullAtPs = NEVER;
  /** Copies of each row in the TLBs now. */
  #copies = new Uint8Array(64);
  readonly #limit: number;

  constructor(limit: number = ROWS_MAX) {
    this.#limit = limit;
    this.rows = allocate(64);
  }

  /** A new row without copies; the caller fills in what it translates. -1: the log is full. */
  add(walkStartPs: number, filledPs: number): number {
    const { rows } = this;
    const row = rows.count;
    if (row === this.#limit) {
      this.fullAtPs = Math.min(this.fullAtPs, filledPs);
      return -1;
    }
    if (row === rows.kind.length) this.#grow();
    rows.count = row + 1;
    rows.walkStartPs[row] = walkStartPs;
    rows.filledPs[row] = filledPs;
    rows.lastUsePs[row] = filledPs;
    rows.lastWritePs[row] = -1;
    rows.removedPs[row] = NEVER;
    rows.takenBy[row] = -1;
    this.#copies[row] = 0;
    return row;
  }

  copied(row: number): void {
    this.#copies[row]!++;
    this.rows.removedPs[row] = NEVER;
  }

  /** A copy goes: evicted, replaced, or taken by a broadcast TLBI (of `takenBy`, else -1). */
  dropped(row: number, atPs: number, takenBy: number, sequence: number): void {
    if (--this.#copies[row]! !== 0) return;
    this.rows.removedPs[row] = atPs;
    this.rows.takenBy[row] = takenBy;
    this.rows.takenBySequence[row] = sequence;
  }

  used(row: number, atPs: number): void {
    if (atPs > this.rows.lastUsePs[row]!) this.rows.lastUsePs[row] = atPs;
  }

  written(row: number, atPs: number): void {
    if (atPs > this.rows.lastWritePs[row]!) this.rows.lastWritePs[row] = atPs;
  }

  columns(): TranslationColumns {
    const { rows } = this;
    const copy = { count: rows.count } as Record<string, unknown>;
    for (const name of columnNames()) copy[name] = rows[name].slice(0, rows.count);
    return copy as unknown as TranslationColumns;
  }

  #grow(): void {
    const { rows } = this;
    const larger = allocate(2 * rows.kind.length);
    for (const name of columnNames()) {
      (larger[name] as Float64Array).set(rows[name] as Float64Array);
    }
    const { count } = rows;
    Object.assign(rows, larger, { count });
    this.#copies = grown(new Uint8Array(rows.kind.length), this.#copies);
  }
}

function columnNames(): (keyof typeof COLUMNS)[] {
  return Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];
}

function allocate(length: number): Columns {
  const rows = { count: 0 } as Record<string, unknown>;
  for (const name of columnNames()) rows[name] = new COLUMNS[name](length);
  return rows as unknown as Columns;
}
