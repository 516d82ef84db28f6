/**
 * Lifetime of table pages (invariant I3): a table page that was freed is read by nobody, neither
 * by a hardware walker nor by a program, until it is handed out again; and a page that is freed by
 * RCU is freed after every read-side section that was open when it was unlinked (the ghost of
 * ER-R1: exact sections beside the program's own grace periods).
 *
 * A table page that the program frees at once, under a lock that keeps all walkers out, is not
 * unlinked by RCU and only the first half holds for it.
 */

import { EventKind } from '../cpu/operations.ts';
import type { EventColumns } from './event-log.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { Access } from './table-reads.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

const NEVER = Number.POSITIVE_INFINITY;
const PAGE_MASK = ~0xfff;

/** Stretches of time in which a page was free: pairs of from, to. */
interface PageHistory {
  readonly free: number[];
  freedBy: number;
  /** When it was unlinked to be freed by RCU; -1 = it was not. */
  unlinkedPs: number;
}

const ACCESS_TEXT: Record<Access, string> = {
  [Access.Walk]: 'walks through a table page that was freed',
  [Access.Read]: 'reads a table page that was freed',
  [Access.Write]: 'writes to a table page that was freed',
};

export class TableLifetime implements Oracle {
  readonly rule = Rule.TablePages;
  readonly findings = new Findings();
  readonly #input: ReplayInput;
  readonly #pages = new Map<number, PageHistory>();
  /** By CPU: when its open read-side section began. */
  readonly #sections = new Map<number, number>();
  #freed = 0;
  #sectionCount = 0;

  constructor(input: ReplayInput) {
    this.#input = input;
  }

  event(o: Occurrence): void {
    switch (o.kind) {
      case EventKind.RcuReadLock:
        this.#sections.set(o.cpu, o.timePs);
        this.#sectionCount++;
        break;
      case EventKind.RcuReadUnlock:
        this.#sections.delete(o.cpu);
        break;
      case EventKind.TablePageUnlinked:
        this.#pageAt(o).unlinkedPs = o.timePs;
        break;
      case EventKind.TablePageFreed:
        this.#tableFreed(o);
        break;
      case EventKind.TablePageAllocated:
        this.#handedOut(o.hi, o.lo & PAGE_MASK, o.timePs);
        break;
      case EventKind.FrameAllocated:
        this.#frameAllocated(o);
        break;
      default:
    }
  }

  #tableFreed(o: Occurrence): void {
    const page = this.#pageAt(o);
    this.#freed++;
    if (page.free.length > 0 && page.free[page.free.length - 1] === NEVER) {
      this.#violated(o.timePs, [o.cpu, page.freedBy], 'frees a table page twice', o.hi, o.lo);
      return;
    }
    if (page.unlinkedPs >= 0) {
      for (const [cpu, sincePs] of this.#sections) {
        if (sincePs >= page.unlinkedPs) continue;
        const text =
          'frees a table page before the grace period is over: a read-side section open since ' +
          `${sincePs / 1000} ns`;
        this.#violated(o.timePs, [o.cpu, cpu], text, o.hi, o.lo);
      }
    }
    page.free.push(o.timePs, NEVER);
    page.freedBy = o.cpu;
    page.unlinkedPs = -1;
  }

  #frameAllocated(o: Occurrence): void {
    const bytes = 4096 * 2 ** (o.lo & 0xfff);
    if (this.#pages.size === 0) return;
    for (let offset = 0; offset < bytes; offset += 4096) {
      this.#handedOut(o.hi, (o.lo & PAGE_MASK) + offset, o.timePs);
    }
  }

  #handedOut(hi: number, lo: number, atPs: number): void {
    const page = this.#pages.get(addressKey(hi, lo));
    if (page === undefined) return;
    const last = page.free.length - 1;
    if (last > 0 && page.free[last] === NEVER) page.free[last] = atPs;
    page.unlinkedPs = -1;
  }

  #pageAt(o: Occurrence): PageHistory {
    const key = addressKey(o.hi, o.lo & PAGE_MASK);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = { free: [], freedBy: -1, unlinkedPs: -1 };
      this.#pages.set(key, page);
    }
    return page;
  }

  finish(): void {
    for (const { cpu, tableReads } of this.#input.logs) this.#checkReads(cpu, tableReads);
  }

  /** Rows come in pairs: first and last instant of a stretch of reads. */
  #checkReads(cpu: number, reads: EventColumns): void {
    for (let row = 0; row < reads.count; row++) {
      const atPs = reads.timePs[row]!;
      if (atPs >= this.#input.untilPs) continue;
      const hi = reads.hi[row]!;
      const lo = reads.lo[row]!;
      const page = this.#pages.get(addressKey(hi, lo));
      if (page === undefined || !isFreeAt(page.free, atPs)) continue;
      const text = ACCESS_TEXT[reads.kind[row]! as Access];
      this.#violated(atPs, [cpu, page.freedBy], text, hi, lo);
    }
  }

  summary(): string {
    return (
      `${this.#freed} table pages were freed, none was used after; ` +
      `${this.#sectionCount} RCU read-side sections`
    );
  }

  #violated(timePs: number, cpus: readonly number[], text: string, hi: number, lo: number): void {
    this.findings.add({
      rule: this.rule,
      timePs,
      cpus,
      text,
      space: Space.Physical,
      hi,
      lo: lo & PAGE_MASK,
    });
  }
}

/** By halving: a page that is handed out and freed all the time has a long history. */
function isFreeAt(free: readonly number[], atPs: number): boolean {
  let low = 0;
  let high = free.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (free[2 * middle]! < atPs) low = middle + 1;
    else high = middle;
  }
  return low > 0 && atPs < free[2 * low - 1]!;
}
