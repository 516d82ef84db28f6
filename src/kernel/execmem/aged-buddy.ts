/**
 * A page allocator after a long uptime: of a share of its order-9 blocks one page is in use, so
 * that no huge page is to be had from them (M. Rapoport's objection to huge text: on a long-lived
 * system there may be none left). Before time 0, on memory with contents.
 *
 * Free lists are written as growZone and the frees of all other pages would leave them (buddy.ts):
 * the rest of an aged block is one free block of each order below 9. Aged blocks are spread evenly.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { blockStart } from '../base/buddy.ts';
import type { PageAllocatorImage } from '../base/page-allocator.ts';
import { HUGE_ORDER } from '../base/page-lists.ts';
import { MAX_ORDER, PageState, stateWord } from '../base/struct-page.ts';
import {
  freeAreaLo,
  grownLo,
  MigrateType,
  metadataLo,
  type Region,
  type Zone,
} from '../base/zone.ts';

const BLOCK_PAGES = 1 << MAX_ORDER;
const HUGE_PAGES = 1 << HUGE_ORDER;
const TYPE = MigrateType.Unmovable;

/** `share`: of the order-9 blocks, 0 to 1. */
export function ageBuddy(boot: BootMemory, { zones }: PageAllocatorImage, share: number): void {
  if (share === 0) return;
  for (const zone of zones) {
    if (zone !== null) new ZoneAge(boot, zone).age(share);
  }
}

class ZoneAge {
  readonly #boot: BootMemory;
  readonly #zone: Zone;
  readonly #region: Region;
  #seen = 0;

  constructor(boot: BootMemory, zone: Zone) {
    this.#boot = boot;
    this.#zone = zone;
    this.#region = zone.regions[TYPE];
  }

  age(share: number): void {
    const region = this.#region;
    // The list is filled from its head: the last block put there is the first one handed out.
    for (let number = region.blocks - 1; number >= 0; number--) {
      const start = blockStart(region, number);
      const end = Math.min(region.end, (start & -BLOCK_PAGES) + BLOCK_PAGES);
      for (let index = start; index < end; ) index += this.#place(index, end, share);
    }
    this.#write(grownLo(this.#zone, TYPE), region.blocks);
  }

  /** The largest piece from `index` on, or an order-9 block in pieces; returns its pages. */
  #place(index: number, end: number, share: number): number {
    let order = 0;
    while (order < HUGE_ORDER && (index & (1 << order)) === 0 && index + (2 << order) <= end) {
      order++;
    }
    if (order < HUGE_ORDER || !this.#isNextAged(share)) {
      this.#addFree(index, order);
      return 1 << order;
    }
    const held = stateWord(PageState.Allocated, 0, 0);
    this.#write(metadataLo(this.#region, index), held);
    for (let piece = 0; piece < HUGE_ORDER; piece++) this.#addFree(index + (1 << piece), piece);
    return HUGE_PAGES;
  }

  #isNextAged(share: number): boolean {
    const before = Math.floor(this.#seen * share);
    this.#seen++;
    return Math.floor(this.#seen * share) > before;
  }

  /** addToFreeList. */
  #addFree(index: number, order: number): void {
    const area = freeAreaLo(this.#zone, TYPE, order);
    const head = this.#read(area);
    const page = metadataLo(this.#region, index);
    this.#write(page, stateWord(PageState.Buddy, order, head));
    this.#write(page + 4, 0);
    if (head !== 0) this.#write(metadataLo(this.#region, head - 1) + 4, index + 1);
    this.#write(area, index + 1);
    this.#write(area + 4, this.#read(area + 4) + 1);
  }

  #address(lo: number): { hi: number; lo: number } {
    return { hi: this.#zone.node << 6, lo };
  }

  #read(lo: number): number {
    return this.#boot.read32(this.#address(lo), 0);
  }

  #write(lo: number, value: number): void {
    this.#boot.write32(this.#address(lo), 0, value);
  }
}
