/**
 * A node's memory as the page allocator sees it (struct zone, include/linux/mmzone.h): one zone per
 * node with one lock and two migratetypes. UNMOVABLE is memory with bytes (page tables and all that
 * is read back), MOVABLE memory without bytes (user pages). As the two never mix, each is a range
 * of its own, called a region here.
 *
 * Deviations: one zone per node, no watermarks, no reclaim, no fallback between migratetypes.
 * Layout in emulated memory, at `lo` of the node:
 *
 *   0    zone->lock, alone on its line
 *   64   per migratetype 128 bytes: free_area[order] = { first page link, nr_free }, 8 bytes each
 *   320  per migratetype 8 bytes: max-order blocks handed out so far (deferred initialisation)
 */

import { LINEAR_MAP_HI, NODE_SHIFT_HI } from '../../memory/physical-address.ts';

export const MigrateType = { Unmovable: 0, Movable: 1 } as const;
export type MigrateType = (typeof MigrateType)[keyof typeof MigrateType];
export const MIGRATE_TYPES = 2;

export const ZONE_BYTES = 384;
const FREE_AREA = 64;
const FREE_AREA_BYTES = 128;
const GROWN = 320;

/**
 * Pages are numbered inside their region: `index` counts from `base`, a page number of the node
 * that is a multiple of the largest block, so that buddies are index XOR size.
 */
export interface Region {
  readonly base: number;
  /** First and one past the last index that the region owns. */
  readonly first: number;
  readonly end: number;
  /** Offset in the node of the metadata of page `first`, and bytes per page. */
  readonly metadata: number;
  readonly stride: number;
  /** Number of max-order blocks that the region touches, in part or whole. */
  readonly blocks: number;
  /** Block number k to be handed out is (k * step + start) mod blocks. */
  readonly step: number;
  readonly start: number;
}

export interface Zone {
  readonly node: number;
  /** Offset of the zone's words in the node. */
  readonly lo: number;
  /** By MigrateType. */
  readonly regions: readonly [Region, Region];
}

/** High half of linear-map addresses of a node's memory with contents. */
export function zoneHi(node: number): number {
  return LINEAR_MAP_HI | (node << NODE_SHIFT_HI);
}

/** Address (low half) of the list head for an order; nr_free follows. */
export function freeAreaLo(zone: Zone, type: MigrateType, order: number): number {
  return zone.lo + FREE_AREA + type * FREE_AREA_BYTES + order * 8;
}

/** Address (low half) of the number of blocks handed out. */
export function grownLo(zone: Zone, type: MigrateType): number {
  return zone.lo + GROWN + type * 8;
}

/** Address (low half) of a page's metadata; the high half is zoneHi. */
export function metadataLo(region: Region, index: number): number {
  return (region.metadata + (index - region.first) * region.stride) | 0;
}

/** Page number inside the node. */
export function pageNumberOf(paHi: number, paLo: number): number {
  return ((paHi & 63) << 20) | (paLo >>> 12);
}

export function pageHi(node: number, pageNumber: number): number {
  return (node << NODE_SHIFT_HI) | (pageNumber >>> 20);
}

export function pageLo(pageNumber: number): number {
  return pageNumber << 12;
}

export function owns(region: Region, index: number): boolean {
  return index >= region.first && index < region.end;
}

export function regionPages(region: Region): number {
  return region.end - region.first;
}
