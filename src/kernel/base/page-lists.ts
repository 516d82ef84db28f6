/**
 * Per-CPU page lists in front of the zones (struct per_cpu_pages, "pcp"; Linux mm/page_alloc.c:
 * rmqueue_pcplist, rmqueue_bulk, free_unref_page_commit, free_pcppages_bulk). A CPU has, for each
 * zone, one list of single pages per migratetype and one of 2 MiB blocks. An empty list takes a
 * batch from the zone under one hold of zone->lock; a full one gives its coldest batch back.
 *
 * Each refill lets the list keep a batch more, up to high_max (nr_pcp_alloc, auto-tuning of v6.7):
 * a CPU that allocates and frees in turn soon leaves the zone alone.
 *
 * Deviations: other small orders go straight to the zone; each list has a limit of its own instead
 * of one for all of a CPU; batches are not doubled in bursts, and high never decays; no pcp->lock,
 * as nobody drains another CPU's lists. Interrupts are masked by the callers (page-allocator.ts),
 * as the irqsave forms in Linux do.
 *
 * Layout of a list, 16 bytes in PerCpu.PageLists: count, first link, last link, growth of high.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { PerCpu } from '../../cpu/per-cpu.ts';
import type { Lock } from '../../sync/lock.ts';
import { giveBlock, takeBlock } from './buddy.ts';
import type { PageListSize } from './page-list-size.ts';
import { linkOf, PageState, stateOf, stateWord } from './struct-page.ts';
import { MigrateType, metadataLo, type Zone, zoneHi } from './zone.ts';

/** Lists of a CPU for one zone fill a line. */
const LISTS_BYTES = 64;
const LIST_BYTES = 16;
const GROWTH = 12;
export const PAGE_LIST_NODES_MAX = (PerCpu.Kvm - PerCpu.PageLists) / LISTS_BYTES;

/** Order of a transparent huge page (pageblock_order). */
export const HUGE_ORDER = 9;
const HUGE_PAGES = 1 << HUGE_ORDER;

/** How one kind of list is filled and drained, in blocks of its order. */
export interface PageListRule extends PageListSize {
  readonly type: MigrateType;
  readonly order: number;
}

/** Rules of a zone's lists, by number of the list. */
export function pageListRules(size: PageListSize): readonly PageListRule[] {
  const { batch, high, highMax } = size;
  assert(batch >= 1 && high >= batch && highMax >= high, `page lists of ${batch} up to ${high}`);
  const { Unmovable, Movable } = MigrateType;
  return [
    { type: Unmovable, order: 0, batch, high, highMax },
    { type: Movable, order: 0, batch, high, highMax },
    {
      type: Movable,
      order: HUGE_ORDER,
      // batch >> order, at least 2 (nr_pcp_alloc).
      batch: 2,
      high: Math.max(2, Math.ceil(high / HUGE_PAGES)),
      highMax: Math.max(2, Math.ceil(highMax / HUGE_PAGES)),
    },
  ];
}

/** Number of the list that serves an order, or -1. */
export function pageListOf(type: MigrateType, order: number): number {
  if (order === 0) return type;
  return order === HUGE_ORDER && type === MigrateType.Movable ? 2 : -1;
}

/** Address (low half) of a CPU's list. */
function listLo(cpu: Cpu, zone: Zone, list: number): number {
  const offset = PerCpu.PageLists + zone.node * LISTS_BYTES + list * LIST_BYTES;
  return (cpu.perCpuLo(cpu.id) + offset) | 0;
}

/** Moves a batch from the zone to an empty list; its order is the zone's (rmqueue_bulk). */
function* refill(cpu: Cpu, zone: Zone, list: number, rule: PageListRule, lock: Lock): Program {
  const hi = zoneHi(zone.node);
  const region = zone.regions[rule.type];
  let count = 0;
  let first = 0;
  let last = 0;
  yield lock.acquire(cpu, hi, zone.lo);
  while (count < rule.batch) {
    yield* takeBlock(cpu, zone, rule.type, rule.order);
    if (cpu.ret < 0) break;
    const link = cpu.ret + 1;
    const page = metadataLo(region, link - 1);
    const word = stateWord(PageState.PageList, rule.order, 0);
    while (!cpu.store64(hi, page, last, word, Order.Relaxed)) yield;
    if (last !== 0) {
      const before = metadataLo(region, last - 1);
      const linked = stateWord(PageState.PageList, rule.order, link);
      while (!cpu.store32(hi, before, linked, Order.Relaxed)) yield;
    }
    if (first === 0) first = link;
    last = link;
    count++;
  }
  yield lock.release(cpu, hi, zone.lo);
  const listAt = listLo(cpu, zone, list);
  yield* storeList(cpu, listAt, count, first, last);
  if (rule.highMax > rule.high) yield* growHigh(cpu, listAt, rule);
}

/** nr_pcp_alloc: with a higher limit this refill would not have been needed. */
function* growHigh(cpu: Cpu, listAt: number, rule: PageListRule): Program {
  const own = cpu.perCpuHi(cpu.id);
  while (!cpu.load32(own, listAt + GROWTH, Order.Relaxed)) yield;
  const growth = Math.min(cpu.lo + rule.batch, rule.highMax - rule.high);
  while (!cpu.store32(own, listAt + GROWTH, growth, Order.Relaxed)) yield;
}

function* storeList(cpu: Cpu, listAt: number, count: number, first: number, last: number): Program {
  const hi = cpu.perCpuHi(cpu.id);
  while (!cpu.store64(hi, listAt, first, count, Order.Relaxed)) yield;
  while (!cpu.store32(hi, listAt + 8, last, Order.Relaxed)) yield;
}

/** Takes the first block of a list, filling it if it is empty; ret: its index, or -1. */
export function* takeFromList(
  cpu: Cpu,
  zone: Zone,
  list: number,
  rule: PageListRule,
  lock: Lock,
): Program {
  const own = cpu.perCpuHi(cpu.id);
  const listAt = listLo(cpu, zone, list);
  const hi = zoneHi(zone.node);
  const region = zone.regions[rule.type];
  while (!cpu.load64(own, listAt, Order.Relaxed)) yield;
  if (cpu.lo === 0) {
    yield refill(cpu, zone, list, rule, lock);
    while (!cpu.load64(own, listAt, Order.Relaxed)) yield;
    if (cpu.lo === 0) {
      cpu.ret = -1;
      return;
    }
  }
  const count = cpu.lo;
  const index = cpu.hi - 1;
  while (!cpu.load32(hi, metadataLo(region, index), Order.Relaxed)) yield;
  const next = linkOf(cpu.lo);
  const sound = stateOf(cpu.lo) === PageState.PageList && (next === 0) === (count === 1);
  if (!sound) refuseList(cpu, zone, list, index);
  if (next !== 0) {
    while (!cpu.store32(hi, metadataLo(region, next - 1) + 4, 0, Order.Relaxed)) yield;
    while (!cpu.store64(own, listAt, next, count - 1, Order.Relaxed)) yield;
  } else {
    yield* storeList(cpu, listAt, 0, 0, 0);
  }
  cpu.ret = index;
}

/** Puts a block at the head of a list and drains a batch when the list is full. */
export function* giveToList(
  cpu: Cpu,
  zone: Zone,
  list: number,
  rule: PageListRule,
  lock: Lock,
  index: number,
): Program {
  const own = cpu.perCpuHi(cpu.id);
  const listAt = listLo(cpu, zone, list);
  const hi = zoneHi(zone.node);
  const region = zone.regions[rule.type];
  while (!cpu.load64(own, listAt, Order.Relaxed)) yield;
  const count = cpu.lo;
  const first = cpu.hi;
  const word = stateWord(PageState.PageList, rule.order, first);
  while (!cpu.store64(hi, metadataLo(region, index), 0, word, Order.Relaxed)) yield;
  if (first === 0) {
    yield* storeList(cpu, listAt, 1, index + 1, index + 1);
    return;
  }
  while (!cpu.store32(hi, metadataLo(region, first - 1) + 4, index + 1, Order.Relaxed)) yield;
  while (!cpu.store64(own, listAt, index + 1, count + 1, Order.Relaxed)) yield;
  if (count + 1 < rule.high) return;
  while (!cpu.load32(own, listAt + GROWTH, Order.Relaxed)) yield;
  if (count + 1 >= rule.high + cpu.lo) yield drain(cpu, zone, list, rule, lock);
}

/** Gives the coldest batch of a list back to the zone (free_pcppages_bulk). */
function* drain(cpu: Cpu, zone: Zone, list: number, rule: PageListRule, lock: Lock): Program {
  const own = cpu.perCpuHi(cpu.id);
  const listAt = listLo(cpu, zone, list);
  const hi = zoneHi(zone.node);
  const region = zone.regions[rule.type];
  while (!cpu.load64(own, listAt, Order.Relaxed)) yield;
  let count = cpu.lo;
  let first = cpu.hi;
  while (!cpu.load32(own, listAt + 8, Order.Relaxed)) yield;
  let last = cpu.lo;
  yield lock.acquire(cpu, hi, zone.lo);
  for (let i = 0; i < rule.batch && count > 0; i++) {
    const index = last - 1;
    while (!cpu.load64(hi, metadataLo(region, index), Order.Relaxed)) yield;
    const previous = cpu.hi;
    const isLast = stateOf(cpu.lo) === PageState.PageList && linkOf(cpu.lo) === 0;
    if (!isLast || (previous === 0) !== (count === 1)) refuseList(cpu, zone, list, index);
    if (previous !== 0) {
      const word = stateWord(PageState.PageList, rule.order, 0);
      while (!cpu.store32(hi, metadataLo(region, previous - 1), word, Order.Relaxed)) yield;
    } else {
      first = 0;
    }
    yield* giveBlock(cpu, zone, rule.type, index, rule.order);
    last = previous;
    count--;
  }
  yield lock.release(cpu, hi, zone.lo);
  yield* storeList(cpu, listAt, count, first, last);
}

/** cpu.lo = the state word of the page. */
function refuseList(cpu: Cpu, zone: Zone, list: number, index: number): never {
  const page = `page ${index} of node ${zone.node}, state word ${cpu.lo}`;
  assert(false, `page list ${list} of cpu ${cpu.id} is torn at ${page}`);
}
