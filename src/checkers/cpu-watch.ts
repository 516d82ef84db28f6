/**
 * Everything that checkers see of one CPU of the virtual engine. The engine holds one per CPU with
 * checks on and none otherwise; it calls in where translations, TLB maintenance and events happen,
 * never on the path of a hit. What can be judged on the CPU alone is judged at once; the rest is
 * logged with emulated time and judged by replay.ts.
 */

import { EventKind, isBroadcast, Tlbi } from '../cpu/operations.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { TlbKind } from '../translation/tlb.ts';
import type { TlbiMatch } from '../translation/tlbi-match.ts';
import { Change, DescriptorWatch } from './descriptor-watch.ts';
import { DvmWatch, type IssuedTlbis } from './dvm-watch.ts';
import { type EventColumns, EventLog } from './event-log.ts';
import { Access, Mark, type TableMarks, TableReads } from './table-reads.ts';
import { TextWatch } from './text-watch.ts';
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
  readonly issued: IssuedTlbis;
  /** Found on the CPU alone. */
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly tlbiCount: number;
  readonly fetchCount: number;
  /** When the log of events was full, and when the first of all logs was; Infinity: never. */
  readonly eventsFullAtPs: number;
  readonly fullAtPs: number;
}

export interface WatchOptions {
  /** CPUs of the machine, and those that take part and share the room for logs. */
  readonly cpuCount: number;
  readonly activeCount: number;
  /** FEAT_BBM level of the machine. */
  readonly bbm: string;
  readonly marks: TableMarks;
  readonly memory: PhysicalMemory;
}

/** Events of the watch itself, beside those of programs (EventKind); address: the descriptor's. */
export const LogKind = { DescriptorSize: 64, DescriptorOutput: 65 } as const;

const PAGE_BYTES = 4096;
/** Room for all CPUs together: at worst about 0.7 GiB each for events, reads and translations. */
const EVENTS_TOTAL = 1 << 25;
const ROWS_TOTAL = 1 << 23;
const NO_TLBI = { operation: 0, context: 0, hi: 0, lo: 0, pages: 0, granuleShift: 12 } as const;

export class CpuWatch {
  readonly translations: TranslationWatch;
  readonly dvm: DvmWatch;
  readonly text: TextWatch;
  readonly #cpu: number;
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #tables: TableReads;
  readonly #descriptors: DescriptorWatch;
  readonly #markOf = (paHi: number, paLo: number): Mark => this.#tables.markOf(paHi, paLo);
  /** The TLBI applied last: before a CPU's own is sent out, it is applied here. */
  #ownRecord: Omit<TlbiRecord, 'atPs'> = NO_TLBI;

  constructor(cpu: number, clock: Clock, options: WatchOptions) {
    this.#cpu = cpu;
    this.#clock = clock;
    const { bbm, activeCount } = options;
    const eventsMax = Math.floor(EVENTS_TOTAL / activeCount);
    this.#events = new EventLog(eventsMax);
    const rowsMax = Math.floor(ROWS_TOTAL / activeCount);
    this.translations = new TranslationWatch(cpu, clock, bbm, rowsMax);
    this.dvm = new DvmWatch(cpu, options.cpuCount);
    this.text = new TextWatch(cpu);
    this.#tables = new TableReads(options.marks, eventsMax);
    this.#descriptors = new DescriptorWatch(options.memory);
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
    if (kind === EventKind.BranchPassed) return;
    const { clock } = this.#clock;
    this.#events.add(clock, kind, hi, lo);
    switch (kind) {
      case EventKind.TablePageAllocated:
      case EventKind.TablePageFreed:
        this.#tables.mark(hi, lo);
        break;
      default:
    }
  }

  /** A load, store or evaluated condition takes place. */
  accessed(paHi: number, paLo: number, write: boolean, atPs: number): void {
    this.translations.accessed(write, atPs);
    const mark = this.#tables.markOf(paHi, paLo);
    this.#descriptors.before(write ? mark : Mark.None, paHi, paLo);
    if (mark === Mark.None) return;
    this.#tables.note(write ? Access.Write : Access.Read, paHi, paLo, atPs);
  }

  /** The access that was a 64-bit store or atomic has written. */
  stored(): void {
    const change = this.#descriptors.after(this.#markOf);
    if (change === Change.None) return;
    const kind = change === Change.Size ? LogKind.DescriptorSize : LogKind.DescriptorOutput;
    this.#events.add(this.#clock.clock, kind, this.#descriptors.hi, this.#descriptors.lo);
  }

  /** The walker reads a descriptor. */
  tableRead(paHi: number, paLo: number, inStage2: boolean, atPs: number): void {
    this.#tables.mark(paHi, paLo, inStage2 ? Mark.Stage2 : Mark.Stage1);
    this.#tables.note(Access.Walk, paHi, paLo, atPs);
    this.translations.walkReads(atPs);
  }

  /** This CPU is about to apply its own TLBI; a broadcast one is complete with its DSB only. */
  tlbiIssues(operation: Tlbi): void {
    if (!isBroadcast(operation) || isInstructionForm(operation)) return;
    this.translations.ownTlbiBegins(this.dvm.issued + 1);
  }

  tlbiIssued(operation: Tlbi, context: number, hi: number, lo: number, pages: number): void {
    const atPs = this.#clock.clock;
    const { granuleShift } = this.#ownRecord;
    this.dvm.issue({ atPs, operation, context, hi, lo, pages, granuleShift });
  }

  /** Another CPU's TLBI takes effect here, next. */
  tlbiReceived(issuer: number, effectPs: number, operation: number): void {
    const sequence = this.dvm.received(issuer);
    if (isInstructionForm(operation)) {
      this.text.arrives(effectPs);
      return;
    }
    this.translations.remoteTlbiBegins(effectPs, issuer, sequence);
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
    const found = Object.values(this.translations.findings);
    const findings = [...found, this.dvm.findings, this.text.findings];
    return {
      cpu: this.#cpu,
      events: this.#events.columns(),
      translations: this.translations.log.columns(),
      tableReads: this.#tables.log.columns(),
      issued: this.dvm.log(),
      violations: findings.flatMap(({ violations }) => violations),
      violationCount: findings.reduce((sum, { count }) => sum + count, 0),
      tlbiCount: this.translations.tlbiCount,
      fetchCount: this.text.count,
      eventsFullAtPs: this.#events.fullAtPs,
      fullAtPs: Math.min(
        this.#events.fullAtPs,
        this.translations.log.fullAtPs,
        this.#tables.log.fullAtPs,
      ),
    };
  }
}

function isInstructionForm(operation: number): boolean {
  return operation === Tlbi.IcIalluIs || operation === Tlbi.IcIvau;
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
