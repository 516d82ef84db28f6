/**
 * Hands what boot left of every node to the page allocator (Linux mm_init: memblock_free_all,
 * build_zonelists). The metadata (struct page) of the managed memory is set aside here, zeroed, so
 * a cap on the memory without bytes keeps it small: 1/64 of the cap, 1/512 beyond 4 GiB per node.
 *
 * Deviation: zonelists order nodes by the SLIT distance alone, ties by number; Linux adds a small
 * penalty to spread the fallback of several nodes.
 */

import { assert } from '../../base/assert.ts';
import { UserError } from '../../base/errors.ts';
import { hash32, seedHalves } from '../../base/random.ts';
import { formatBytes, GIB } from '../../base/units.ts';
import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import type { Lock } from '../../sync/lock.ts';
import type { PageAllocatorImage } from './page-allocator.ts';
import { type PageListSize, pageListSize } from './page-list-size.ts';
import { PAGE_LIST_NODES_MAX, pageListRules } from './page-lists.ts';
import {
  COMPACT_PAGE_BYTES,
  LINK_MAX,
  MAX_ORDER,
  PAGE_BYTES,
  STRUCT_PAGE_BYTES,
} from './struct-page.ts';
import { MigrateType, type Region, ZONE_BYTES, type Zone } from './zone.ts';

const BLOCK_PAGES = 1 << MAX_ORDER;

export interface PageAllocatorOptions {
  readonly zoneLock: Lock;
  /** Memory without bytes to manage per node, at most; the node may have less. */
  readonly movableBytes: number;
  /** The seed that moves the order of free blocks; null: ascending addresses. */
  readonly shuffleSeed?: number | null;
  /** Do the per-CPU lists learn to keep more (v6.7 and later)? Default true. */
  readonly autoTune?: boolean;
  /** Sizes of the per-CPU lists instead of those that follow from the machine. */
  readonly listSize?: PageListSize;
}

/** Up to here a frame without bytes has a struct page of full size; beyond, a compact one. */
const FULL_STRUCT_PAGES_MAX_BYTES = 4 * GIB;

/** Bytes of the struct page of a frame without bytes, if so much of that memory is managed. */
function userStructPageBytes(movableBytes: number): number {
  return movableBytes <= FULL_STRUCT_PAGES_MAX_BYTES ? STRUCT_PAGE_BYTES : COMPACT_PAGE_BYTES;
}

/** Backed bytes per node that the metadata of so much memory without bytes takes. */
export function metadataBytes(movableBytes: number): number {
  const pages = Math.ceil(movableBytes / PAGE_BYTES);
  return pages * userStructPageBytes(movableBytes) + ZONE_BYTES;
}

/** Must come last: boot can allocate nothing afterwards. */
export function bootPageAllocator(
  boot: BootMemory,
  options: PageAllocatorOptions,
): PageAllocatorImage {
  const { machine } = boot;
  assert(machine.nodeCount <= PAGE_LIST_NODES_MAX, `page lists for ${machine.nodeCount} nodes`);
  assert(options.zoneLock.bytes <= 64, `zone lock of ${options.zoneLock.bytes} bytes`);
  const zones: (Zone | null)[] = [];
  for (let node = 0; node < machine.nodeCount; node++) {
    zones.push(machine.memoryBytesOfNode[node] === 0 ? null : bootZone(boot, node, options));
  }
  const { listSize, autoTune = true } = options;
  return {
    zones,
    fallback: zones.map((_, node) => zonelist(machine, node)),
    rules: zones.map((_, node) => pageListRules(listSize ?? pageListSize(machine, node, autoTune))),
  };
}

function bootZone(boot: BootMemory, node: number, options: PageAllocatorOptions): Zone {
  const words = boot.allocate(node, ZONE_BYTES);
  boot.name(`zone->lock@node${node}`, words, 64);
  boot.name(`zone->free_area@node${node}`, { hi: words.hi, lo: words.lo + 64 }, ZONE_BYTES - 64);
  options.zoneLock.init?.(boot, words);

  const unbacked = boot.unbackedFree(node);
  const limit = Math.min(boot.unbackedEnd(node), unbacked + options.movableBytes);
  const movable = pageRange(unbacked, limit);
  const stride = userStructPageBytes(options.movableBytes);
  const user = boot.allocateNamed(
    `struct page (user)@node${node}`,
    node,
    Math.max(64, (movable.end - movable.first) * stride),
  );

  const backed = boot.backedFree(node);
  const room = boot.backedEnd(node) - backed - 2 * PAGE_BYTES;
  const pages = Math.floor(room / (PAGE_BYTES + STRUCT_PAGE_BYTES));
  if (pages < 1) {
    throw new UserError(
      `node ${node} has no memory with contents left for page tables: ` +
        `${formatBytes(boot.memory.backedBytes)} are set aside per node; lower the number of ` +
        'CPUs or the memory of the workload',
    );
  }
  const full = boot.allocateNamed(`struct page@node${node}`, node, pages * STRUCT_PAGE_BYTES);
  const unmovable = pageRange(boot.backedFree(node), boot.backedEnd(node));
  const held = Math.min(pages, unmovable.end - unmovable.first);
  boot.takeRest(node);
  const seed = options.shuffleSeed ?? null;
  return {
    node,
    lo: words.lo,
    regions: [
      region(
        unmovable.first,
        unmovable.first + held,
        full.lo,
        STRUCT_PAGE_BYTES,
        seed,
        node,
        MigrateType.Unmovable,
      ),
      region(movable.first, movable.end, user.lo, stride, seed, node, MigrateType.Movable),
    ],
  };
}

/** Whole pages between two offsets of a node. */
function pageRange(start: number, end: number): { first: number; end: number } {
  const first = Math.ceil(start / PAGE_BYTES);
  return { first, end: Math.max(first, Math.floor(end / PAGE_BYTES)) };
}

function region(
  firstPage: number,
  endPage: number,
  metadata: number,
  stride: number,
  seed: number | null,
  node: number,
  type: MigrateType,
): Region {
  const base = firstPage - (firstPage % BLOCK_PAGES);
  const end = endPage - base;
  assert(end <= LINK_MAX, `region of ${end} pages on node ${node}`);
  const blocks = endPage > firstPage ? Math.ceil(end / BLOCK_PAGES) : 0;
  return {
    base,
    first: firstPage - base,
    end,
    metadata: metadata >>> 0,
    stride,
    blocks,
    ...blockOrder(blocks, seed, hash32(node, type, 0, 0)),
  };
}

/** A permutation k -> (k * step + start) mod blocks: step and blocks have no common divisor. */
function blockOrder(
  blocks: number,
  seed: number | null,
  salt: number,
): { step: number; start: number } {
  if (seed === null || blocks <= 1) return { step: 1, start: 0 };
  const [low, high] = seedHalves(seed);
  const start = (hash32(low, high, salt, 1) >>> 0) % blocks;
  let step = 1 + ((hash32(low, high, salt, 2) >>> 0) % (blocks - 1));
  while (commonDivisor(step, blocks) !== 1) step = 1 + (step % (blocks - 1));
  return { step, start };
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

function zonelist(machine: Machine, node: number): number[] {
  const distance = (other: number): number => machine.slit[node * machine.nodeCount + other]!;
  const nodes: number[] = [];
  for (let other = 0; other < machine.nodeCount; other++) {
    if (machine.memoryBytesOfNode[other]! > 0) nodes.push(other);
  }
  // The own node comes first even where a SLIT is odd.
  const rank = (other: number): number => (other === node ? -1 : distance(other));
  return nodes.sort((a, b) => rank(a) - rank(b) || a - b);
}
