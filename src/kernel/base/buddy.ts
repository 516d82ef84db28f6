/**
 * The buddy allocator of a zone (Linux mm/page_alloc.c): free lists per order and migratetype.
 * Follows __rmqueue_smallest, expand, __free_one_page and, for memory that was never used,
 * deferred_grow_zone. All programs here run under the zone lock.
 *
 * Deviations: freed blocks always go to the head of their list (no buddy_merge_likely); memory is
 * put on the lists one max-order block at a time when the lists run dry, from the start of the
 * region on (or in an order that a seed moves), so that unused memory costs nothing.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { linkOf, MAX_ORDER, orderOf, PageState, stateOf, stateWord } from './struct-page.ts';
import {
  freeAreaLo,
  grownLo,
  type MigrateType,
  metadataLo,
  type Region,
  type Zone,
  zoneHi,
} from './zone.ts';

const BLOCK_PAGES = 1 << MAX_ORDER;

/** Puts a block at the head of its list (__add_to_free_list, account_freepages). */
function* addToFreeList(
  cpu: Cpu,
  zone: Zone,
  type: MigrateType,
  index: number,
  order: number,
): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[type];
  const area = freeAreaLo(zone, type, order);
  while (!cpu.load64(hi, area, Order.Relaxed)) yield;
  const head = cpu.lo;
  const count = cpu.hi;
  const page = metadataLo(region, index);
  const word = stateWord(PageState.Buddy, order, head);
  while (!cpu.store64(hi, page, 0, word, Order.Relaxed)) yield;
  if (head !== 0) {
    const next = metadataLo(region, head - 1);
    while (!cpu.store32(hi, next + 4, index + 1, Order.Relaxed)) yield;
  }
  while (!cpu.store64(hi, area, count + 1, index + 1, Order.Relaxed)) yield;
}

/** Takes a block off its list; `next` and `previous` are its links (del_page_from_free_list). */
function* deleteFromFreeList(
  cpu: Cpu,
  zone: Zone,
  type: MigrateType,
  index: number,
  order: number,
  next: number,
  previous: number,
): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[type];
  const area = freeAreaLo(zone, type, order);
  while (!cpu.load64(hi, area, Order.Relaxed)) yield;
  const head = cpu.lo;
  const count = cpu.hi;
  const torn = count <= 0 || (previous === 0) !== (head === index + 1);
  if (torn) assert(false, `node ${zone.node}: free list of order ${order} (${count}) is torn`);
  if (previous !== 0) {
    const before = metadataLo(region, previous - 1);
    const word = stateWord(PageState.Buddy, order, next);
    while (!cpu.store32(hi, before, word, Order.Relaxed)) yield;
  }
  if (next !== 0) {
    const after = metadataLo(region, next - 1);
    while (!cpu.store32(hi, after + 4, previous, Order.Relaxed)) yield;
  }
  const first = previous === 0 ? next : head;
  while (!cpu.store64(hi, area, count - 1, first, Order.Relaxed)) yield;
  while (!cpu.store64(hi, metadataLo(region, index), 0, 0, Order.Relaxed)) yield;
}

/** Gives back the upper halves of a block that is larger than wanted (expand). */
function* expand(
  cpu: Cpu,
  zone: Zone,
  type: MigrateType,
  index: number,
  wanted: number,
  found: number,
): Program {
  for (let order = found - 1; order >= wanted; order--) {
    yield* addToFreeList(cpu, zone, type, index + (1 << order), order);
  }
}

/** Puts the next block of untouched memory on the free lists; ret: 0, or -1 if there is none. */
function* growZone(cpu: Cpu, zone: Zone, type: MigrateType): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[type];
  const grown = grownLo(zone, type);
  while (!cpu.load32(hi, grown, Order.Relaxed)) yield;
  const number = cpu.lo;
  if (number >= region.blocks) {
    cpu.ret = -1;
    return;
  }
  while (!cpu.store32(hi, grown, number + 1, Order.Relaxed)) yield;
  let index = blockStart(region, number);
  const end = Math.min(region.end, alignDown(index) + BLOCK_PAGES);
  while (index < end) {
    const order = largestOrder(index, end);
    yield* addToFreeList(cpu, zone, type, index, order);
    index += 1 << order;
  }
  cpu.ret = 0;
}

/** First page of the k-th block to be handed out. */
export function blockStart(region: Region, k: number): number {
  const block = (k * region.step + region.start) % region.blocks;
  return Math.max(region.first, alignDown(region.first) + block * BLOCK_PAGES);
}

function alignDown(index: number): number {
  return index & -BLOCK_PAGES;
}

/** Largest aligned block that starts at an index and ends by `end`. */
function largestOrder(index: number, end: number): number {
  let order = 0;
  while (order < MAX_ORDER && (index & (1 << order)) === 0 && index + (2 << order) <= end) order++;
  return order;
}

/** Takes a block of an order; ret: its index, or -1 (rmqueue_buddy, __rmqueue_smallest). */
export function* takeBlock(cpu: Cpu, zone: Zone, type: MigrateType, order: number): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[type];
  for (;;) {
    for (let current = order; current <= MAX_ORDER; current++) {
      while (!cpu.load32(hi, freeAreaLo(zone, type, current), Order.Relaxed)) yield;
      if (cpu.lo === 0) continue;
      const index = cpu.lo - 1;
      while (!cpu.load64(hi, metadataLo(region, index), Order.Relaxed)) yield;
      const word = cpu.lo;
      const isHead = stateOf(word) === PageState.Buddy && orderOf(word) === current;
      if (!isHead || cpu.hi !== 0) {
        const page = `page ${index} of node ${zone.node}`;
        assert(false, `${page} on free list ${current} has state word ${word}`);
      }
      yield* deleteFromFreeList(cpu, zone, type, index, current, linkOf(word), 0);
      if (current > order) yield* expand(cpu, zone, type, index, order, current);
      cpu.ret = index;
      return;
    }
    yield* growZone(cpu, zone, type);
    if (cpu.ret < 0) return;
  }
}

/** Gives a block back and merges it with its free buddies (__free_one_page). */
export function* giveBlock(
  cpu: Cpu,
  zone: Zone,
  type: MigrateType,
  index: number,
  order: number,
): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[type];
  assert((index & ((1 << order) - 1)) === 0, `page ${index} is no block of order ${order}`);
  let block = index;
  let size = order;
  while (size < MAX_ORDER) {
    const buddy = block ^ (1 << size);
    if (buddy < region.first || buddy + (1 << size) > region.end) break;
    while (!cpu.load64(hi, metadataLo(region, buddy), Order.Relaxed)) yield;
    const word = cpu.lo;
    if (stateOf(word) !== PageState.Buddy || orderOf(word) !== size) break;
    yield* deleteFromFreeList(cpu, zone, type, buddy, size, linkOf(word), cpu.hi);
    block &= ~(1 << size);
    size++;
  }
  if (block !== index) {
    while (!cpu.store64(hi, metadataLo(region, index), 0, 0, Order.Relaxed)) yield;
  }
  yield* addToFreeList(cpu, zone, type, block, size);
}
