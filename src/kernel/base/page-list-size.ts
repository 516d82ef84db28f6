/**
 * How long the per-CPU page lists of a zone may grow (Linux mm/page_alloc.c, v6.7 and later:
 * zone_batchsize, zone_highsize, init_per_zone_wmark_min, __setup_per_zone_wmarks): batch from the
 * size of the zone; high from its low watermark shared by the CPUs of the node; and, where lists
 * tune themselves, high_max from an eighth of the zone.
 *
 * The figures are those of the machine's whole memory, also where the run manages less of it.
 */

import type { Machine } from '../../machine/machine.ts';
import { PAGE_BYTES } from './struct-page.ts';

export interface PageListSize {
  /** Pages moved between list and zone at once. */
  readonly batch: number;
  /** pcp->high_min: pages at which a list gives a batch back. */
  readonly high: number;
  /** pcp->high_max: what `high` may grow to, a batch per refill. Equal to high: fixed. */
  readonly highMax: number;
}

const KIB_PER_PAGE = PAGE_BYTES / 1024;
/** watermark_scale_factor: 0.1 % of the zone. */
const WATERMARK_SCALE = 1000;
/** MIN_PERCPU_PAGELIST_HIGH_FRACTION. */
const HIGH_FRACTION = 8;

export function pageListSize(machine: Machine, node: number, autoTune: boolean): PageListSize {
  const pages = Math.floor(machine.memoryBytesOfNode[node]! / PAGE_BYTES);
  let cpus = 0;
  for (const home of machine.nodeOfCpu) if (home === node) cpus++;
  cpus = Math.max(1, cpus);
  const batch = zoneBatchSize(pages);
  const high = Math.max(Math.floor(lowWatermark(machine, pages) / cpus), 4 * batch);
  const most = Math.max(Math.floor(pages / HIGH_FRACTION / cpus), 4 * batch);
  return { batch, high, highMax: autoTune ? Math.max(most, high) : high };
}

/** zone_batchsize: 63 from 1 GiB on. */
function zoneBatchSize(pages: number): number {
  const quarter = Math.max(1, Math.floor(Math.min(Math.floor(pages / 1024), 256) / 4));
  const most = quarter + Math.floor(quarter / 2);
  return Math.max(1, 2 ** (31 - Math.clz32(most)) - 1);
}

/** Low watermark in pages: the zone's share of min_free_kbytes, and 0.1 % of the zone. */
function lowWatermark(machine: Machine, pages: number): number {
  let totalKib = 0;
  for (const bytes of machine.memoryBytesOfNode) totalKib += bytes / 1024;
  const minFreeKib = Math.min(262_144, Math.max(128, Math.floor(Math.sqrt(totalKib * 16))));
  const share = (pages * KIB_PER_PAGE) / totalKib;
  const minimum = Math.floor((minFreeKib / KIB_PER_PAGE) * share);
  return minimum + Math.max(Math.floor(minimum / 4), Math.floor(pages / WATERMARK_SCALE));
}
