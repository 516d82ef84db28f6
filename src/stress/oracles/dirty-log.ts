/**
 * Completeness of dirty logging: what a guest writes to a page after the write protection of that
 * page was flushed is found. Either the page's bit is set at the end, or it was taken by somebody
 * after the write. As src/checkers/dirty-log.ts, which holds translations of a timed run against
 * flushes; here the bitmap itself is looked at, so a bit that was set for the wrong page, or lost,
 * shows too.
 * Bits are taken by words of 32; a bit that is cleared by who has not read it is lost.
 *
 * Writes between a protection and its flush are legal: user space copies pages after the call.
 * Judged at the end, because the bit is set after the fault has let other writers in.
 */

import { EventKind, Regime } from '../../cpu/operations.ts';
import type { Translated } from '../../engine/explore/observer.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';
import { pageNumber } from './table-trees.ts';

export const DIRTY_LOG = 'dirty-log';

export const DIRTY_LOG_FACTS: OracleFacts = {
  name: DIRTY_LOG,
  description:
    'what a guest writes to after its write protection was flushed is in the dirty bitmap',
  // On the host what targets find at the end, not the bitmap: nobody tells who takes a bit.
  engines: ['explore', 'host', 'virtual'],
};

interface Bitmap {
  readonly hi: number;
  readonly lo: number;
  readonly firstPage: number;
  readonly pages: number;
}

interface Page {
  cpu: number;
  /** Of the last write by a guest, the last flushed protection, the last time its bit was taken. */
  wroteAt: number;
  flushedAt: number;
  takenAt: number;
}

/** Number of the word of a bitmap at an address; -1: not of this bitmap. */
function wordOf(bitmap: Bitmap, hi: number, lo: number): number {
  const offset = lo - bitmap.lo;
  return hi !== bitmap.hi || offset < 0 || offset * 8 >= bitmap.pages ? -1 : offset >>> 2;
}

function readingKey(cpu: number, lo: number): number {
  return cpu * 2 ** 32 + (lo >>> 0);
}

export function makeDirtyLog(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  return new DirtyLog(context, word);
}

class DirtyLog implements StressOracle {
  readonly name = DIRTY_LOG;
  readonly #context: OracleContext;
  readonly #word: (hi: number, lo: number) => number;
  readonly #bitmaps: Bitmap[] = [];
  /** By CPU: the bitmap whose pages it tells next. */
  readonly #told: { hi: number; lo: number }[] = [];
  readonly #pages = new Map<number, Page>();
  /** By CPU and address of a word of a bitmap: what it read there last. */
  readonly #readings = new Map<number, number>();
  /** By CPU: pages that it has protected and not flushed. */
  readonly #pending: number[][];
  #now = 0;

  constructor(context: OracleContext, word: (hi: number, lo: number) => number) {
    this.#context = context;
    this.#word = word;
    this.#pending = Array.from({ length: context.cpuCount }, () => []);
  }

  begin(): void {
    this.#bitmaps.length = this.#now = 0;
    this.#pages.clear();
    this.#readings.clear();
    for (const list of this.#pending) list.length = 0;
  }

  event(cpu: number, kind: number, hi: number, lo: number): void {
    const pages = 2 ** ((lo & 0xfff) - 12);
    switch (kind) {
      case EventKind.DirtyBitmap:
        this.#told[cpu] = { hi: hi & 0xffff, lo };
        break;
      case EventKind.DirtyBitmapPages:
        this.#bitmaps.push({ ...this.#told[cpu]!, firstPage: pageNumber(hi, lo), pages });
        break;
      case EventKind.PageWriteProtected: {
        const first = pageNumber(hi, lo);
        for (let page = first; page < first + pages; page++) this.#pending[cpu]!.push(page);
        break;
      }
      case EventKind.WriteProtectFlushed:
        for (const page of this.#pending[cpu]!) this.#at(page).flushedAt = this.#now;
        this.#pending[cpu]!.length = 0;
        this.#now++;
        break;
      default:
    }
  }

  translated({ cpu, regime, paHi, paLo, write }: Translated): void {
    if (!write || regime !== Regime.Guest || this.#bitmaps.length === 0) return;
    const page = this.#at(pageNumber(paHi, paLo));
    page.wroteAt = this.#now++;
    page.cpu = cpu;
  }

  access(cpu: number, hi: number, lo: number, _bytes: number, writes: boolean): void {
    if (writes) return;
    for (const bitmap of this.#bitmaps) {
      const index = wordOf(bitmap, hi, lo);
      if (index < 0) continue;
      const at = bitmap.lo + index * 4;
      this.#readings.set(readingKey(cpu, at), this.#word(hi, at));
    }
  }

  wrote(cpu: number, hi: number, lo: number, _bytes: number, oldLo: number): void {
    for (const bitmap of this.#bitmaps) {
      const index = wordOf(bitmap, hi, lo);
      if (index < 0) continue;
      this.#cleared(cpu, bitmap, index, oldLo & ~this.#word(hi, bitmap.lo + index * 4));
    }
  }

  finish(): void {
    for (const bitmap of this.#bitmaps) {
      for (let offset = 0; offset < bitmap.pages; offset++) this.#judge(bitmap, offset);
    }
  }

  #judge(bitmap: Bitmap, offset: number): void {
    const number = bitmap.firstPage + offset;
    const page = this.#pages.get(number);
    if (page === undefined || page.flushedAt < 0 || page.wroteAt < page.flushedAt) return;
    if (page.takenAt > page.wroteAt) return;
    const bits = this.#word(bitmap.hi, bitmap.lo + (offset >>> 5) * 4);
    if ((bits & (1 << (offset & 31))) !== 0) return;
    const text = 'writes, as a guest, to a page that no dirty bitmap names afterwards';
    const hi = Math.floor(number / 2 ** 20);
    const lo = (number % 2 ** 20) << 12;
    this.#context.fail({ oracle: DIRTY_LOG, cpus: [page.cpu], text, hi, lo });
  }

  #at(number: number): Page {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = { cpu: -1, wroteAt: -1, flushedAt: -1, takenAt: -1 };
      this.#pages.set(number, page);
    }
    return page;
  }

  /** Bits that were cleared; who has not read them has lost them. */
  #cleared(cpu: number, bitmap: Bitmap, index: number, lost: number): void {
    const bits = lost & (this.#readings.get(readingKey(cpu, bitmap.lo + index * 4)) ?? 0);
    for (let bit = 0; bit < 32; bit++) {
      const offset = index * 32 + bit;
      if ((bits & (1 << bit)) === 0 || offset >= bitmap.pages) continue;
      this.#at(bitmap.firstPage + offset).takenAt = this.#now++;
    }
  }
}

// ---- told by targets, whether or not there is a bitmap ------------------------------------------

/** A page: where its contents are, where they were copied to, and whether it is recorded now. */
export interface LoggedPage {
  readonly contents: Address;
  readonly copy: Address;
  readonly recorded: boolean;
}

/** At the end: every page that is not recorded was copied after its last write. */
export function checkCopied(memory: Memory, pages: readonly LoggedPage[], report: Reporter): void {
  pages.forEach(({ contents, copy, recorded }, page) => {
    if (recorded || memory.word(contents) === memory.word(copy)) return;
    const text = `page ${page} was written and is not in the dirty log`;
    report.fail({ oracle: DIRTY_LOG, cpus: [], text, ...contents });
  });
}
