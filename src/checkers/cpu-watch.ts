/**
 * Everything that checkers see of one CPU of the virtual engine. The engine holds one per CPU with
 * checks on and none otherwise; it calls in where translations, TLB maintenance and events happen,
 * never on the path of a hit. What can be judged on the CPU alone is judged at once; the rest is
 * logged with emulated time and judged by replay.ts.
 */

import { EventKind, type Tlbi } from '../cpu/operations.ts';
import { TlbKind } from '../translation/tlb.ts';
import type { TlbiMatch } from '../translation/tlbi-match.ts';
import { DvmWatch, type EarlyFree } from './dvm-watch.ts';
import { type EventColumns, EventLog } from './event-log.ts';
import { Access, type TableMarks, TableReads } from './table-reads.ts';
import type { TlbiRecord } from './tlbi-record.ts';
import type { TranslationColumns } from './translation-log.ts';
import { type Clock, TranslationWatch } from './translation-watch.ts';
import type { Violation } from './violation.ts';
import type { WatchedTlb } from './watched-tlb.ts';

/** What a CPU leaves behind for the replay; crosses threads as it is. */
export interface CpuLog {
  readonly cpu: number;
  readonly events: EventColumns;
  readonly translations: TranslationColumns;
  readonly tableReads: EventColumns;
  readonly earlyFrees: readonly EarlyFree[];
  /** Found on the CPU alone. */
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly tlbiCount: number;
  /** When a log was full; Infinity: none was. */
  readonly fullAtPs: number;
}

export interface WatchOptions {
  readonly cpuCount: number;
  /** FEAT_BBM level of the machine. */
  readonly bbm: string;
  readonly marks: TableMarks;
}

const PAGE_BYTES = 4096;
const NO_TLBI = { operation: 0, context: 0, hi: 0, lo: 0, pages: 0, granuleShift: 12 } as const;

export class CpuWatch {
  readonly translations: TranslationWatch;
  readonly dvm: DvmWatch;
  readonly #cpu: number;
  readonly #clock: Clock;
  readonly #events = new EventLog();
  readonly #tables: TableReads;
  /** The TLBI applied last: before a CPU's own is sent out, it is applied here. */
  #ownRecord: Omit<TlbiRecord, 'atPs'> = NO_TLBI;

  constructor(cpu: number, clock: Clock, options: WatchOptions) {
    this.#cpu = cpu;
    this.#clock = clock;
    this.translations = new TranslationWatch(cpu, clock, options.bbm);
    this.dvm = new DvmWatch(cpu, options.cpuCount);
    this.#tables = new TableReads(options.marks);
  }

  /** `below`: the level that an L1 TLB is filled from. */
  newTlb(
    entries: number,
    ways: number,
    kind: TlbKind = TlbKind.Combined,
    below: WatchedTlb | null = null,
  ): WatchedTlb {
    return this.translations.newTlb(entries, ways, kind, below);
  }

  /** Cpu.event. */
  event(kind: number, hi: number, lo: number): void {
    const { clock } = this.#clock;
    this.#events.add(clock, kind, hi, lo);
    switch (kind) {
      case EventKind.TablePageAllocated:
        this.#tables.mark(hi, lo);
        break;
      case EventKind.TablePageFreed:
        this.#tables.mark(hi, lo);
        this.dvm.freed(clock, true, hi, lo & ~(PAGE_BYTES - 1), PAGE_BYTES);
        break;
      case EventKind.FrameFreed:
        this.dvm.freed(clock, false, hi, frameLo(lo), frameBytes(lo));
        break;
      default:
    }
  }

  /** A load, store or evaluated condition takes place. */
  accessed(paHi: number, paLo: number, write: boolean, atPs: number): void {
    this.translations.accessed(write, atPs);
    if (!this.#tables.isMarked(paHi, paLo)) return;
    this.#tables.note(write ? Access.Write : Access.Read, paHi, paLo, atPs);
  }

  /** The walker reads a descriptor. */
  tableRead(paHi: number, paLo: number, atPs: number): void {
    this.#tables.mark(paHi, paLo);
    this.#tables.note(Access.Walk, paHi, paLo, atPs);
  }

  tlbiIssued(operation: Tlbi, context: number, hi: number, lo: number, pages: number): void {
    const atPs = this.#clock.clock;
    const { granuleShift } = this.#ownRecord;
    this.dvm.issue({ atPs, operation, context, hi, lo, pages, granuleShift });
  }

  tlbiApplied(match: TlbiMatch, record: Omit<TlbiRecord, 'atPs'>, walking: boolean): void {
    const atPs = this.translations.nowPs;
    this.#ownRecord = record;
    this.translations.tlbiApplied(match, { ...record, atPs }, walking);
  }

  /** After the run. */
  log(): CpuLog {
    this.translations.close();
    this.#tables.close();
    const { translations, breakBeforeMake } = this.translations.findings;
    const findings = [translations, breakBeforeMake, this.dvm.findings];
    return {
      cpu: this.#cpu,
      events: this.#events.columns(),
      translations: this.translations.log.columns(),
      tableReads: this.#tables.log.columns(),
      earlyFrees: this.dvm.earlyFrees,
      violations: findings.flatMap(({ violations }) => violations),
      violationCount: findings.reduce((sum, { count }) => sum + count, 0),
      tlbiCount: this.translations.tlbiCount,
      fullAtPs: Math.min(
        this.#events.fullAtPs,
        this.translations.log.fullAtPs,
        this.#tables.log.fullAtPs,
      ),
    };
  }
}

/** Frame events carry the order in the low bits of the address. */
export function frameLo(lo: number): number {
  return lo & ~(PAGE_BYTES - 1);
}

export function frameOrder(lo: number): number {
  return lo & (PAGE_BYTES - 1);
}

export function frameBytes(lo: number): number {
  return PAGE_BYTES * 2 ** frameOrder(lo);
}
