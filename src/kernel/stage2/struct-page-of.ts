/**
 * The struct page of a table: the page allocator's, or, for tables that boot code wrote, one beside
 * them. It lies on the table's own node, so both have the same high half.
 */

import type { PageAllocator } from '../base/page-allocator.ts';
import { PAGE_BYTES, PAGE_SHIFT, STRUCT_PAGE_BYTES } from '../base/struct-page.ts';

/** Tables that boot code wrote: a run of pages and their struct pages. Linear-map addresses. */
export interface BootTables {
  readonly hi: number;
  readonly lo: number;
  readonly pages: number;
  readonly structLo: number;
}

export function isBootTable(tables: BootTables, hi: number, lo: number): boolean {
  if (hi !== tables.hi) return false;
  const offset = (lo >>> 0) - (tables.lo >>> 0);
  return offset >= 0 && offset < tables.pages * PAGE_BYTES;
}

/** Low half of the struct page of the page that holds a linear-map address. */
export function structPageLo(
  vm: { readonly pages: PageAllocator },
  tables: BootTables,
  hi: number,
  lo: number,
): number {
  if (!isBootTable(tables, hi, lo)) return vm.pages.structPageLo(hi & 0xffff, lo);
  const index = ((lo >>> 0) - (tables.lo >>> 0)) >>> PAGE_SHIFT;
  return (tables.structLo + index * STRUCT_PAGE_BYTES) | 0;
}
