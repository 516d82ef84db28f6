/**
 * Completeness of dirty logging (invariant I5): once a page has been write-protected and the flush
 * after it is complete, no guest writes through a translation that was read before the protection.
 * Every later store then faults, and the fault marks the page.
 *
 * Stores between protection and flush are legal: user space copies the page only after the ioctl.
 */

import { EventKind } from '../cpu/operations.ts';
import { PERM_WRITE } from '../translation/descriptors.ts';
import { Completion, whenComplete } from './completion.ts';
import type { CpuLog } from './cpu-watch.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { rowShift, type TranslationColumns } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

/** One write protection of a page or block. */
interface Protection {
  readonly cpu: number;
  readonly timePs: number;
  /** When the program took the flush after it for complete. */
  readonly flushedPs: number;
}

interface Pending {
  readonly shift: number;
  readonly page: number;
  readonly timePs: number;
}

export class DirtyLog implements Oracle {
  readonly rule = Rule.DirtyLog;
  readonly findings = new Findings();
  readonly #input: ReplayInput;
  /** By CPU: protected, not flushed yet. */
  readonly #pending = new Map<number, Pending[]>();
  /** By log2 of the size, then by page number. */
  readonly #protections = new Map<number, Map<number, Protection[]>>();
  #count = 0;

  constructor(input: ReplayInput) {
    this.#input = input;
  }

  event(o: Occurrence): void {
    if (o.kind === EventKind.PageWriteProtected) this.#protected(o);
    else if (o.kind === EventKind.WriteProtectFlushed) this.#flushed(o);
  }

  #protected(o: Occurrence): void {
    const shift = o.lo & 0xfff;
    const page = Math.floor(addressKey(o.hi, o.lo & ~0xfff) / 2 ** shift);
    const pending = this.#pending.get(o.cpu) ?? [];
    pending.push({ shift, page, timePs: o.timePs });
    this.#pending.set(o.cpu, pending);
    this.#count++;
  }

  #flushed(o: Occurrence): void {
    for (const { shift, page, timePs } of this.#pending.get(o.cpu) ?? []) {
      let pages = this.#protections.get(shift);
      if (pages === undefined) {
        pages = new Map();
        this.#protections.set(shift, pages);
      }
      const list = pages.get(page) ?? [];
      list.push({ cpu: o.cpu, timePs, flushedPs: o.timePs });
      pages.set(page, list);
    }
    this.#pending.set(o.cpu, []);
  }

  finish(): void {
    if (this.#protections.size === 0) return;
    const completion = new Completion(this.#input.logs);
    for (const log of this.#input.logs) {
      const t = log.translations;
      for (let row = 0; row < t.count; row++) {
        if (t.stage2Shift[row] === 0 || (t.permissions[row]! & PERM_WRITE) === 0) continue;
        const protection = this.#firstProtection(t, row);
        if (protection !== null) this.#check(log, row, protection, completion);
      }
    }
  }

  /** The first write protection, after the walk began, of anything that the row translates to. */
  #firstProtection(t: TranslationColumns, row: number): Protection | null {
    const start = addressKey(t.paHi[row]!, t.paLo[row]!);
    const end = start + 2 ** rowShift(t, row) - 1;
    let first: Protection | null = null;
    for (const [shift, pages] of this.#protections) {
      const last = Math.floor(end / 2 ** shift);
      for (let page = Math.floor(start / 2 ** shift); page <= last; page++) {
        for (const protection of pages.get(page) ?? []) {
          if (protection.timePs <= t.walkStartPs[row]!) continue;
          if (first === null || protection.flushedPs < first.flushedPs) first = protection;
          break;
        }
      }
    }
    return first;
  }

  #check(log: CpuLog, row: number, protection: Protection, completion: Completion): void {
    const t = log.translations;
    const { cpu, timePs, flushedPs } = protection;
    if (t.lastWritePs[row]! > flushedPs) {
      const text =
        `writes, as a guest, through a translation filled at ${t.filledPs[row]! / 1000} ns to ` +
        `a page that was write-protected and flushed by ${flushedPs / 1000} ns`;
      this.#violated(t.lastWritePs[row]!, [log.cpu, cpu], text, t, row);
      return;
    }
    const taker = completion.takerOf(log, row);
    if (taker === null || taker.cpu !== cpu || taker.issuedPs < timePs) return;
    if (taker.issuedPs > flushedPs || taker.completedPs <= flushedPs) return;
    if (completion.isCompleteBy(log, row, flushedPs)) return;
    const text =
      'takes the flush after a write protection for complete before it is: ' +
      whenComplete(taker.completedPs);
    this.#violated(flushedPs, cpu === log.cpu ? [cpu] : [cpu, log.cpu], text, t, row);
  }

  #violated(
    timePs: number,
    cpus: readonly number[],
    text: string,
    t: TranslationColumns,
    row: number,
  ): void {
    const hi = t.paHi[row]!;
    const lo = t.paLo[row]!;
    this.findings.add({ rule: this.rule, timePs, cpus, text, space: Space.Physical, hi, lo });
  }

  summary(): string {
    return `no guest store passed one of ${this.#count} write protections after its flush`;
  }
}
