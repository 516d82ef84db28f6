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
import type { Address } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';
import { pageNumber } from './table-trees.ts';

export const DIRTY_LOG = 'dirty-log';

export const DIRTY_LOG_FACTS: OracleFacts = {
  name: DIRTY_LOG,
  description:
    'what a guest writes to after its write protection was flushed is in the dirty bitmap',
  engines: ['explore', 'virtual'],
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
  const bitmaps: Bitmap[] = [];
  const told: { hi: number; lo: number }[] = [];
  const pages = new Map<number, Page>();
  /** By CPU and address of a word of a bitmap: what it read there last. */
  const readings = new Map<number, number>();
  /** By CPU: pages that it has protected and not flushed. */
  const pending: number[][] = Array.from({ length: context.cpuCount }, () => []);
  let now = 0;

  const at = (number: number): Page => {
    let page = pages.get(number);
    if (page === undefined) {
      page = { cpu: -1, wroteAt: -1, flushedAt: -1, takenAt: -1 };
      pages.set(number, page);
    }
    return page;
  };

  /** Bits that were cleared; who has not read them has lost them. */
  const cleared = (cpu: number, bitmap: Bitmap, index: number, lost: number): void => {
    const bits = lost & (readings.get(readingKey(cpu, bitmap.lo + index * 4)) ?? 0);
    const { firstPage, pages: count } = bitmap;
    for (let bit = 0; bit < 32; bit++) {
      const offset = index * 32 + bit;
      if ((bits & (1 << bit)) !== 0 && offset < count) at(firstPage + offset).takenAt = now++;
    }
  };

  return {
    name: DIRTY_LOG,
    begin() {
      bitmaps.length = now = 0;
      pages.clear();
      readings.clear();
      for (const list of pending) list.length = 0;
    },
    event(cpu, kind, hi, lo) {
      switch (kind) {
        case EventKind.DirtyBitmap:
          told[cpu] = { hi: hi & 0xffff, lo };
          break;
        case EventKind.DirtyBitmapPages: {
          const count = 2 ** ((lo & 0xfff) - 12);
          bitmaps.push({ ...told[cpu]!, firstPage: pageNumber(hi, lo), pages: count });
          break;
        }
        case EventKind.PageWriteProtected: {
          const first = pageNumber(hi, lo);
          const count = 2 ** ((lo & 0xfff) - 12);
          for (let page = first; page < first + count; page++) pending[cpu]!.push(page);
          break;
        }
        case EventKind.WriteProtectFlushed:
          for (const page of pending[cpu]!) at(page).flushedAt = now;
          pending[cpu]!.length = 0;
          now++;
          break;
        default:
      }
    },
    translated({ cpu, regime, paHi, paLo, write }) {
      if (!write || regime !== Regime.Guest || bitmaps.length === 0) return;
      const page = at(pageNumber(paHi, paLo));
      page.wroteAt = now++;
      page.cpu = cpu;
    },
    access(cpu, hi, lo, _bytes, writes) {
      if (writes) return;
      for (const bitmap of bitmaps) {
        const index = wordOf(bitmap, hi, lo);
        if (index < 0) continue;
        const at = bitmap.lo + index * 4;
        readings.set(readingKey(cpu, at), word(hi, at));
      }
    },
    wrote(cpu, hi, lo, _bytes, oldLo) {
      for (const bitmap of bitmaps) {
        const index = wordOf(bitmap, hi, lo);
        if (index < 0) continue;
        cleared(cpu, bitmap, index, oldLo & ~word(hi, bitmap.lo + index * 4));
      }
    },
    finish() {
      for (const bitmap of bitmaps) {
        for (let offset = 0; offset < bitmap.pages; offset++) {
          const number = bitmap.firstPage + offset;
          const page = pages.get(number);
          if (page === undefined || page.flushedAt < 0 || page.wroteAt < page.flushedAt) continue;
          if (page.takenAt > page.wroteAt) continue;
          const bits = word(bitmap.hi, bitmap.lo + (offset >>> 5) * 4);
          if ((bits & (1 << (offset & 31))) !== 0) continue;
          const text = 'writes, as a guest, to a page that no dirty bitmap names afterwards';
          const lo = (number % 2 ** 20) << 12;
          const cpus = [page.cpu];
          context.fail({ oracle: DIRTY_LOG, cpus, text, hi: Math.floor(number / 2 ** 20), lo });
        }
      }
    },
  };
}

// ---- told by targets that have no bitmap --------------------------------------------------------

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
