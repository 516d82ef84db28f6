/**
 * What an unmap collects before it flushes (Linux mm/mmu_gather.c, include/asm-generic/tlb.h:
 * tlb_remove_page, tlb_flush_mmu, tlb_remove_table; MMU_GATHER_RCU_TABLE_FREE). Pages are given
 * back only after the TLB is flushed, tables after an RCU grace period on top.
 *
 * The collection belongs to one system call of one CPU, like the on-stack mmu_gather.
 * Deviations: its batches take no pages from the allocator; one call_rcu per table, not per batch.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import { HUGE_ORDER } from '../base/page-lists.ts';
import { PAGE_BYTES, PageField } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { MIB_2 } from './mm-struct.ts';
import { putPage } from './page-cache.ts';
import { flushTlbRange } from './tlb-flush.ts';

/** MAX_GATHER_BATCH_COUNT batches of MAX_GATHER_BATCH pages: about 10,000. */
const GATHER_PAGES_MAX = 10_000;

export class MmuGather {
  readonly #pages: { hi: number; lo: number; order: number; isFile: boolean }[] = [];
  readonly #tables: { hi: number; lo: number }[] = [];
  #start = Number.POSITIVE_INFINITY;
  #end = 0;
  #clearedPages = false;
  #freedTables = false;

  /** __tlb_adjust_range. */
  #cover(address: number, bytes: number): void {
    this.#start = Math.min(this.#start, address);
    this.#end = Math.max(this.#end, address + bytes);
  }

  addPage(address: number, hi: number, lo: number, isFile: boolean): void {
    this.#cover(address, PAGE_BYTES);
    this.#clearedPages = true;
    this.#pages.push({ hi, lo, order: 0, isFile });
  }

  /** An entry that held no page of its own (the zero page). */
  addEntry(address: number): void {
    this.#cover(address, PAGE_BYTES);
    this.#clearedPages = true;
  }

  addHugePage(address: number, hi: number, lo: number): void {
    this.#cover(address, MIB_2);
    this.#pages.push({ hi, lo, order: HUGE_ORDER, isFile: false });
  }

  /** A table of pages that covers the 2 MiB from `address` on. */
  addTable(address: number, hi: number, lo: number): void {
    this.#cover(address, MIB_2);
    this.#freedTables = true;
    this.#tables.push({ hi, lo });
  }

  get isFull(): boolean {
    return this.#pages.length >= GATHER_PAGES_MAX;
  }

  /** tlb_flush_mmu_tlbonly. */
  *flushTlb(cpu: Cpu, space: AddressSpace): Program {
    if (this.#end === 0) return;
    const range = {
      start: this.#start,
      end: this.#end,
      strideBytes: this.#clearedPages || this.#freedTables ? PAGE_BYTES : MIB_2,
      lastLevel: !this.#freedTables,
    };
    this.#start = Number.POSITIVE_INFINITY;
    this.#end = 0;
    this.#clearedPages = false;
    this.#freedTables = false;
    yield* flushTlbRange(cpu, space, range);
  }

  /** tlb_flush_mmu. */
  *flush(cpu: Cpu, space: AddressSpace): Program {
    yield* this.flushTlb(cpu, space);
    for (const { hi, lo } of this.#tables) yield* freeTableLater(cpu, space, hi, lo);
    this.#tables.length = 0;
    for (const { hi, lo, order, isFile } of this.#pages) {
      if (isFile) yield* putPage(cpu, space, hi, lo);
      else yield* space.pages.free(cpu, hi, lo, order);
    }
    this.#pages.length = 0;
  }
}

/** tlb_remove_table: software walks may still be in the table (gup_fast). */
function* freeTableLater(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const head = (space.pages.structPageLo(hi, lo) + PageField.RcuHead) | 0;
  cpu.event(EventKind.TablePageUnlinked, hi, lo);
  yield* space.rcu.call(cpu, structHi, head, space.freeTableFunction, hi, lo);
}

/** The RCU handler behind freeTableFunction (tlb_remove_table_rcu). */
export function* freeTable(
  cpu: Cpu,
  pages: AddressSpace['pages'],
  hi: number,
  lo: number,
): Program {
  cpu.event(EventKind.TablePageFreed, hi, lo);
  yield* pages.free(cpu, hi, lo, 0);
}
