/**
 * Use of freed memory through a TLB: a translation that was read from tables before its frame was
 * freed is not used after (I4 as the kernel means it: unmap, TLBI, DSB, then free). This is what a
 * missing TLBI, one that reaches only the issuer, or one for the wrong address comes to.
 *
 * Entries that merely stay are legal: nobody invalidates those of a dead VMID before it is used
 * again. So are more restrictive entries after a local TLBI. The linear map is not looked at.
 */

import { EventKind } from '../cpu/operations.ts';
import { frameBytes, frameLo } from './cpu-watch.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { TimeMerge } from './time-merge.ts';
import { RowKind, rowShift } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

interface Free {
  readonly timePs: number;
  readonly cpu: number;
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
}

/** A row of a log: which log, which row. */
interface RowReference {
  readonly log: number;
  readonly row: number;
}

export class FreedFrames implements Oracle {
  readonly rule = Rule.FreedFrames;
  readonly findings = new Findings();
  readonly #input: ReplayInput;
  readonly #frees: Free[] = [];
  /** By log2 of the size, then by page number: translations that may still be used. */
  readonly #live = new Map<number, Map<number, RowReference[]>>();
  #rowCount = 0;

  constructor(input: ReplayInput) {
    this.#input = input;
  }

  event(o: Occurrence): void {
    if (o.kind !== EventKind.FrameFreed) return;
    const { timePs, cpu, hi } = o;
    this.#frees.push({ timePs, cpu, hi, lo: frameLo(o.lo), bytes: frameBytes(o.lo) });
  }

  finish(): void {
    const { logs } = this.#input;
    for (const { translations } of logs) this.#rowCount += translations.count;
    // Walks of one CPU follow each other, so rows are in the order in which walks began.
    const rows = new TimeMerge(
      logs.map(({ translations: t }) => ({ count: t.count, timePs: t.walkStartPs })),
    );
    for (const free of this.#frees) {
      while (rows.peekPs() < free.timePs && rows.next()) this.#begin(rows.source, rows.index);
      this.#check(free);
    }
  }

  #begin(log: number, row: number): void {
    const t = this.#input.logs[log]!.translations;
    if (t.kind[row] === RowKind.Table) return;
    const shift = rowShift(t, row);
    let pages = this.#live.get(shift);
    if (pages === undefined) {
      pages = new Map();
      this.#live.set(shift, pages);
    }
    const page = addressKey(t.paHi[row]!, t.paLo[row]!) / 2 ** shift;
    const list = pages.get(page);
    if (list === undefined) pages.set(page, [{ log, row }]);
    else list.push({ log, row });
  }

  #check(free: Free): void {
    const start = addressKey(free.hi, free.lo);
    for (const [shift, pages] of this.#live) {
      const first = Math.floor(start / 2 ** shift);
      const last = Math.floor((start + free.bytes - 1) / 2 ** shift);
      for (let page = first; page <= last; page++) {
        const list = pages.get(page);
        if (list !== undefined) this.#checkPage(free, pages, page, list);
      }
    }
  }

  /** Rows last used before this free can't offend any later one: they go. */
  #checkPage(
    free: Free,
    pages: Map<number, RowReference[]>,
    page: number,
    list: readonly RowReference[],
  ): void {
    const left: RowReference[] = [];
    for (const reference of list) {
      const { cpu, translations: t } = this.#input.logs[reference.log]!;
      const { row } = reference;
      if (t.lastUsePs[row]! <= free.timePs) continue;
      left.push(reference);
      this.findings.add({
        rule: this.rule,
        timePs: t.lastUsePs[row]!,
        cpus: [cpu, free.cpu],
        text:
          `uses a translation, filled at ${t.filledPs[row]! / 1000} ns, ` +
          'to a frame that was freed',
        space: Space.Physical,
        hi: free.hi,
        lo: free.lo,
      });
    }
    if (left.length === 0) pages.delete(page);
    else pages.set(page, left);
  }

  summary(): string {
    return (
      `none of ${this.#rowCount} translations of users and guests was used after its frame ` +
      `was freed (${this.#frees.length} frees)`
    );
  }
}
