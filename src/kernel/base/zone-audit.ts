/**
 * Conservation of frames, checked by reading memory after a run: every page of a zone is on a free
 * list, on a page list of some CPU, held by somebody, or was never handed out. No emulated cost.
 */

import { assert } from '../../base/assert.ts';
import { blockStart } from './buddy.ts';
import type { PageAllocatorImage } from './page-allocator.ts';
import { linkOf, MAX_ORDER, orderOf, PageField, PageState, stateOf } from './struct-page.ts';
import {
  freeAreaLo,
  grownLo,
  MigrateType,
  metadataLo,
  pageHi,
  type Region,
  regionPages,
  type Zone,
} from './zone.ts';

/** Reads a 32-bit word at a physical address (RunFacts.peek32). */
export type Peek = (paHi: number, paLo: number) => number;

/** Pages of one migratetype of a node. */
export interface PageCensus {
  readonly node: number;
  readonly type: MigrateType;
  readonly managed: number;
  readonly free: number;
  readonly onPageLists: number;
  readonly allocated: number;
  /** Never handed out to the free lists. */
  readonly untouched: number;
}

/** Counts every page and asserts that none is lost or counted twice. */
export function auditPages(image: PageAllocatorImage, peek: Peek): PageCensus[] {
  const result: PageCensus[] = [];
  for (const zone of image.zones) {
    if (zone === null) continue;
    for (const type of [MigrateType.Unmovable, MigrateType.Movable]) {
      result.push(auditRegion(zone, type, peek));
    }
  }
  return result;
}

function auditRegion(zone: Zone, type: MigrateType, peek: Peek): PageCensus {
  const region = zone.regions[type];
  const hi = pageHi(zone.node, 0);
  const managed = regionPages(region);
  const listed = pagesOnFreeLists(zone, type, peek);
  const totals = [0, 0, 0, 0];
  const grown = peek(hi, grownLo(zone, type));
  let touched = 0;
  for (let k = 0; k < grown; k++) {
    const start = blockStart(region, k);
    const end = Math.min(region.end, (start & -(1 << MAX_ORDER)) + (1 << MAX_ORDER));
    touched += end - start;
    for (let index = start; index < end; ) {
      const word = peek(hi, metadataLo(region, index) + PageField.State);
      const state = stateOf(word);
      const where = `page ${index} of node ${zone.node}, type ${type}`;
      assert(state !== PageState.None, `${where}: lost (no list and no holder has it)`);
      const size = 1 << orderOf(word);
      assert((index & (size - 1)) === 0 && index + size <= end, `${where}: block of ${size} pages`);
      assertInside(region, index, size, peek, hi, where);
      totals[state]! += size;
      index += size;
    }
  }
  assert(
    listed === totals[PageState.Buddy],
    `node ${zone.node}: free lists and struct pages differ`,
  );
  return {
    node: zone.node,
    type,
    managed,
    free: totals[PageState.Buddy]!,
    onPageLists: totals[PageState.PageList]!,
    allocated: totals[PageState.Allocated]!,
    untouched: managed - touched,
  };
}

/** The frames inside a block have no state of their own. */
function assertInside(
  region: Region,
  index: number,
  size: number,
  peek: Peek,
  hi: number,
  where: string,
): void {
  for (let i = 1; i < size; i++) {
    const state = stateOf(peek(hi, metadataLo(region, index + i)));
    assert(state === PageState.None, `${where}: page ${index + i} inside it has state ${state}`);
  }
}

function pagesOnFreeLists(zone: Zone, type: MigrateType, peek: Peek): number {
  const region = zone.regions[type];
  const hi = pageHi(zone.node, 0);
  let pages = 0;
  for (let order = 0; order <= MAX_ORDER; order++) {
    const area = freeAreaLo(zone, type, order);
    const count = peek(hi, area + 4);
    let link = peek(hi, area);
    let previous = 0;
    for (let i = 0; i < count; i++) {
      assert(link !== 0, `free list ${order} of node ${zone.node} ends early`);
      const page = metadataLo(region, link - 1);
      const word = peek(hi, page);
      assert(
        stateOf(word) === PageState.Buddy && orderOf(word) === order,
        `free list ${order} of node ${zone.node} holds page ${link - 1} with state word ${word}`,
      );
      assert(peek(hi, page + 4) === previous, `free list ${order}: links of page ${link - 1}`);
      pages += 1 << order;
      previous = link;
      link = linkOf(word);
    }
    assert(link === 0, `free list ${order} of node ${zone.node} is longer than nr_free`);
  }
  return pages;
}
