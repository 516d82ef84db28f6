/**
 * The page allocator (Linux mm/page_alloc.c: __alloc_pages, get_page_from_freelist, rmqueue,
 * zone_statistics, __free_pages): the wanted node first, then the others by distance, each through
 * this CPU's page lists, with numastat's counters.
 *
 * Frames are handed out and given back as physical addresses. A frame belongs to one holder from
 * the moment it is allocated; giving back a frame that nobody holds is an assertion (the state in
 * its struct page is the poison). Deviations: no watermarks, no reclaim, no draining of other
 * CPUs' lists when memory runs out, contents of freed pages are left as they are.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { nodeOf } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { giveBlock, takeBlock } from './buddy.ts';
import { ENOMEM } from './errno.ts';
import { giveToList, type PageListRule, pageListOf, takeFromList } from './page-lists.ts';
import { orderOf, PageState, stateOf, stateWord } from './struct-page.ts';
import {
  MIGRATE_TYPES,
  type MigrateType,
  metadataLo,
  owns,
  pageHi,
  pageLo,
  pageNumberOf,
  type Zone,
  zoneHi,
} from './zone.ts';

/** Plain data, made by bootPageAllocator. */
export interface PageAllocatorImage {
  /** By node; null for a node without memory. */
  readonly zones: readonly (Zone | null)[];
  /** Per node the nodes with memory, nearest first (the zonelist). */
  readonly fallback: readonly (readonly number[])[];
  /** By node, then by list (page-lists.ts). */
  readonly rules: readonly (readonly PageListRule[])[];
}

export class PageAllocator {
  readonly image: PageAllocatorImage;
  readonly #lock: Lock;

  /** `zoneLock` must be the lock that the image was made with. */
  constructor(image: PageAllocatorImage, zoneLock: Lock) {
    this.image = image;
    this.#lock = zoneLock;
  }

  /**
   * ret = 0 and (hi, lo) = the physical address of 2^order pages, or ret = -ENOMEM. `thisNodeOnly`:
   * no fallback (__GFP_THISNODE). Contents are whatever the last holder left.
   */
  *allocate(
    cpu: Cpu,
    node: number,
    order: number,
    type: MigrateType,
    thisNodeOnly = false,
  ): Program {
    cpu.spend(Cost.PageAlloc);
    const interrupts = cpu.interrupts(false);
    const preferred = this.image.fallback[node]![0]!;
    for (const candidate of this.image.fallback[node]!) {
      if (thisNodeOnly && candidate !== node) break;
      const zone = this.image.zones[candidate]!;
      yield* this.#take(cpu, zone, order, type);
      if (cpu.ret < 0) continue;
      const index = cpu.ret;
      while (!this.#hand(cpu, zone, index, order, type)) yield;
      countAllocation(cpu, candidate, preferred, order);
      cpu.interrupts(interrupts);
      return;
    }
    cpu.interrupts(interrupts);
    cpu.ret = -ENOMEM;
  }

  /** rmqueue: ret = the index of a block, or -1. */
  #take(cpu: Cpu, zone: Zone, order: number, type: MigrateType): Program {
    const list = pageListOf(type, order);
    if (list < 0) return this.#takeFromZone(cpu, zone, order, type);
    return takeFromList(cpu, zone, list, this.image.rules[zone.node]![list]!, this.#lock);
  }

  /** rmqueue_buddy. */
  *#takeFromZone(cpu: Cpu, zone: Zone, order: number, type: MigrateType): Program {
    const hi = zoneHi(zone.node);
    yield this.#lock.acquire(cpu, hi, zone.lo);
    yield* takeBlock(cpu, zone, type, order);
    const index = cpu.ret;
    yield this.#lock.release(cpu, hi, zone.lo);
    cpu.ret = index;
  }

  /** prep_new_page: one holder, one reference. */
  #hand(cpu: Cpu, zone: Zone, index: number, order: number, type: MigrateType): boolean {
    const region = zone.regions[type];
    const word = stateWord(PageState.Allocated, order, 0);
    const hi = zoneHi(zone.node);
    if (!cpu.store64(hi, metadataLo(region, index), 1, word, Order.Relaxed)) return false;
    const number = region.base + index;
    cpu.hi = pageHi(zone.node, number);
    cpu.lo = pageLo(number);
    cpu.ret = 0;
    cpu.event(EventKind.FrameAllocated, cpu.hi, cpu.lo | order);
    return true;
  }

  /** Gives 2^order pages back (__free_pages); at most the caller's own reference may be left. */
  *free(cpu: Cpu, paHi: number, paLo: number, order: number): Program {
    const zone = this.image.zones[nodeOf(paHi)]!;
    const type = migrateTypeOf(zone, paHi, paLo);
    const region = zone.regions[type];
    const index = pageNumberOf(paHi, paLo) - region.base;
    const hi = zoneHi(zone.node);
    while (!cpu.load64(hi, metadataLo(region, index), Order.Relaxed)) yield;
    const isHead = stateOf(cpu.lo) === PageState.Allocated && orderOf(cpu.lo) === order;
    if (!isHead || (cpu.hi & ~1) !== 0) refuseToFree(cpu, zone, index, order);
    cpu.event(EventKind.FrameFreed, paHi, paLo | order);
    cpu.count(Counter.PagesFreed, 1 << order);
    const interrupts = cpu.interrupts(false);
    const list = pageListOf(type, order);
    if (list >= 0) {
      yield* giveToList(cpu, zone, list, this.image.rules[zone.node]![list]!, this.#lock, index);
    } else {
      yield this.#lock.acquire(cpu, hi, zone.lo);
      yield* giveBlock(cpu, zone, type, index, order);
      yield this.#lock.release(cpu, hi, zone.lo);
    }
    cpu.interrupts(interrupts);
  }

  /** Linear-map address (low half) of a page's metadata (struct-page.ts); high half: zoneHi. */
  structPageLo(paHi: number, paLo: number): number {
    const zone = this.image.zones[nodeOf(paHi)]!;
    const region = zone.regions[migrateTypeOf(zone, paHi, paLo)];
    return metadataLo(region, pageNumberOf(paHi, paLo) - region.base);
  }

  structPageHi(paHi: number): number {
    return zoneHi(nodeOf(paHi));
  }
}

/** (hi, lo) = references and state word of the page. Apart, as messages cost more than the look. */
function refuseToFree(cpu: Cpu, zone: Zone, index: number, order: number): never {
  const state = stateOf(cpu.lo);
  const what = `cpu ${cpu.id} frees page ${index} of node ${zone.node}`;
  assert(
    state === PageState.Allocated && orderOf(cpu.lo) === order,
    `${what}, order ${order}, that is ${STATE_NAMES[state]} with order ${orderOf(cpu.lo)}`,
  );
  assert(false, `${what} with ${cpu.hi} references`);
}

const STATE_NAMES: readonly string[] = ['not a page', 'free', 'on a page list', 'allocated'];

function migrateTypeOf(zone: Zone, paHi: number, paLo: number): MigrateType {
  const number = pageNumberOf(paHi, paLo);
  for (let type = 0; type < MIGRATE_TYPES; type++) {
    const region = zone.regions[type]!;
    if (owns(region, number - region.base)) return type as MigrateType;
  }
  assert(false, `page number ${number} of node ${zone.node} is not the page allocator's`);
}

/** zone_statistics and PGALLOC. */
function countAllocation(cpu: Cpu, node: number, preferred: number, order: number): void {
  cpu.count(Counter.PagesAllocated, 1 << order);
  if (node === preferred) {
    cpu.count(Counter.NumaHit, 1);
  } else {
    cpu.count(Counter.NumaMiss, 1);
    cpu.count(Counter.NumaForeign, 1);
  }
  cpu.count(node === cpu.node ? Counter.LocalNode : Counter.OtherNode, 1);
}
