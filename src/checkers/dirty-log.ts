/**
 * Completeness of dirty logging (invariant I5): once a page has been write-protected and the flush
 * after it is complete, no guest writes through a translation that was read before the protection.
 * Every later store then faults, and the fault marks the page.
 *
 * Stores between protection and flush are legal: user space copies the page only after the ioctl.
 */

import { EventKind } from '../cpu/operations.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { rowShift, type TranslationColumns } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

/** Of one page or block: pairs of protection and end of its flush, in order of protection. */
type Protections = number[];

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
  readonly #protections = new Map<number, Map<number, Protections>>();
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
      list.push(timePs, o.timePs);
      pages.set(page, list);
    }
    this.#pending.set(o.cpu, []);
  }

  finish(): void {
    if (this.#protections.size === 0) return;
    for (const { cpu, translations: t } of this.#input.logs) {
      for (let row = 0; row < t.count; row++) {
        if (t.stage2Shift[row] !== 0 && t.lastWritePs[row]! >= 0) this.#check(cpu, t, row);
      }
    }
  }

  #check(cpu: number, t: TranslationColumns, row: number): void {
    const start = addressKey(t.paHi[row]!, t.paLo[row]!);
    const end = start + 2 ** rowShift(t, row) - 1;
    for (const [shift, pages] of this.#protections) {
      const last = Math.floor(end / 2 ** shift);
      for (let page = Math.floor(start / 2 ** shift); page <= last; page++) {
        const list = pages.get(page);
        if (list === undefined) continue;
        const flushedPs = firstFlushAfter(list, t.walkStartPs[row]!);
        if (flushedPs >= t.lastWritePs[row]!) continue;
        this.findings.add({
          rule: this.rule,
          timePs: t.lastWritePs[row]!,
          cpus: [cpu],
          text:
            `writes, as a guest, through a translation filled at ${t.filledPs[row]! / 1000} ns to ` +
            `a page that was write-protected and flushed by ${flushedPs / 1000} ns`,
          space: Space.Physical,
          hi: t.paHi[row]!,
          lo: t.paLo[row]!,
        });
      }
    }
  }

  summary(): string {
    return `no guest store passed one of ${this.#count} write protections after its flush`;
  }
}

/** End of the flush of the first protection after a time; Infinity: none. */
function firstFlushAfter(protections: Protections, timePs: number): number {
  for (let k = 0; k < protections.length; k += 2) {
    if (protections[k]! > timePs) return protections[k + 1]!;
  }
  return Number.POSITIVE_INFINITY;
}
