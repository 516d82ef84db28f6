/**
 * Which table pages one CPU read, and when: hardware walks, and loads and stores of programs to
 * pages that are or were tables. Reads of one page close to each other make one row, of which the
 * first and last instant are exact; that is all the replay needs to tell a read of a freed page.
 *
 * Pages that are or were tables are marked in a map that all workers share. A mark is set long
 * before it matters (a page is linked, read and unlinked before it is freed) and never taken back.
 */

import { nodeOf } from '../memory/physical-address.ts';
import { EventLog } from './event-log.ts';

/** Reads farther apart are kept apart. */
const GAP_PS = 1_000_000;
const SLOTS = 256;
const PAGE_SHIFT = 12;

export const Access = { Walk: 0, Read: 1, Write: 2 } as const;
export type Access = (typeof Access)[keyof typeof Access];

/** What a page is or was: a table, and one that a walker has read in that stage. */
export const Mark = { None: 0, Table: 1, Stage1: 2, Stage2: 3 } as const;
export type Mark = (typeof Mark)[keyof typeof Mark];

/** One mark per page with contents, by node. */
export type TableMarks = readonly Uint8Array[];

export class TableReads {
  readonly #marks: TableMarks;
  /** Two rows per stretch of reads: the first instant and the last. */
  readonly log: EventLog;
  readonly #hi = new Int32Array(SLOTS);
  readonly #lo = new Int32Array(SLOTS);
  readonly #access = new Uint8Array(SLOTS);
  readonly #firstPs = new Float64Array(SLOTS).fill(-1);
  readonly #lastPs = new Float64Array(SLOTS);

  constructor(marks: TableMarks, limit: number) {
    this.#marks = marks;
    this.log = new EventLog(limit);
  }

  /** `mark`: a better one replaces Table, none replaces the stage of a walk. */
  mark(paHi: number, paLo: number, mark: Mark = Mark.Table): void {
    const marks = this.#marks[nodeOf(paHi)];
    const page = paLo >>> PAGE_SHIFT;
    if ((paHi & 63) !== 0 || marks === undefined || page >= marks.length) return;
    if (marks[page]! < mark) marks[page] = mark;
  }

  markOf(paHi: number, paLo: number): Mark {
    if ((paHi & 63) !== 0) return Mark.None;
    return (this.#marks[nodeOf(paHi)]?.[paLo >>> PAGE_SHIFT] ?? Mark.None) as Mark;
  }

  note(access: Access, paHi: number, paLo: number, atPs: number): void {
    const page = paLo & ~0xfff;
    const slot = ((paLo >>> PAGE_SHIFT) ^ (paHi >>> 6)) & (SLOTS - 1);
    if (
      this.#firstPs[slot]! >= 0 &&
      this.#lo[slot] === page &&
      this.#hi[slot] === paHi &&
      this.#access[slot] === access &&
      atPs - this.#lastPs[slot]! < GAP_PS
    ) {
      this.#lastPs[slot] = atPs;
      return;
    }
    this.#write(slot);
    this.#hi[slot] = paHi;
    this.#lo[slot] = page;
    this.#access[slot] = access;
    this.#firstPs[slot] = atPs;
    this.#lastPs[slot] = atPs;
  }

  /** Writes out what is still open. */
  close(): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      this.#write(slot);
      this.#firstPs[slot] = -1;
    }
  }

  #write(slot: number): void {
    const firstPs = this.#firstPs[slot]!;
    if (firstPs < 0) return;
    const access = this.#access[slot]!;
    this.log.add(firstPs, access, this.#hi[slot]!, this.#lo[slot]!);
    this.log.add(this.#lastPs[slot]!, access, this.#hi[slot]!, this.#lo[slot]!);
  }
}
