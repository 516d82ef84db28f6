/**
 * The hugetlb pool (mm/hugetlb.c: alloc_hugetlb_folio, dequeue_hugetlb_folio_node_exact,
 * enqueue_hugetlb_folio): pages set aside at boot on every node, handed out under hugetlb_lock, the
 * wanted node first.
 *
 * Deviation: a node's free pages are the ones never handed out, in ascending order; pages are not
 * given back while a run lasts (selftests keep their memory until they end).
 */

import { UserError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { ENOMEM } from '../base/errno.ts';
import { addressHi, addressLo, addressOf } from './address.ts';

/** Plain data. */
export interface HugePool {
  readonly unitShift: number;
  /** Linear-map address of hugetlb_lock; a count per node follows on the next lines. */
  readonly hi: number;
  readonly lo: number;
  /** By node: physical address of the first page, and how many there are. */
  readonly first: readonly number[];
  readonly pages: readonly number[];
}

const COUNTS = 64;

/** `pagesOfNode`: nr_hugepages of each node. */
export function bootHugePool(
  boot: BootMemory,
  node: number,
  unitShift: number,
  pagesOfNode: readonly number[],
): HugePool {
  const words = boot.allocateNamed('hugetlb_lock', node, COUNTS + pagesOfNode.length * 64);
  const first = pagesOfNode.map((count, owner) => {
    if (count === 0) return 0;
    if (boot.nearestNodeWithMemory(owner) !== owner) {
      throw new UserError(`node ${owner} has no memory for hugetlb pages`);
    }
    const bytes = count * 2 ** unitShift;
    const pages: Address = boot.allocateUnbacked(owner, bytes, 2 ** unitShift);
    return addressOf(pages.hi, pages.lo);
  });
  const { hi, lo } = toLinear(words);
  return { unitShift, hi, lo, first, pages: pagesOfNode };
}

/** cpu.ret = 0 and (hi, lo) = a page's physical address, or -ENOMEM. Tries `nodes` in turn. */
export function* takeHugePage(
  cpu: Cpu,
  pool: HugePool,
  lock: Lock,
  nodes: readonly number[],
): Program {
  yield* lock.acquire(cpu, pool.hi, pool.lo);
  let page = -1;
  for (const node of nodes) {
    const count = pool.lo + COUNTS + node * 64;
    while (!cpu.load32(pool.hi, count, Order.Relaxed)) yield;
    const used = cpu.lo;
    if (used >= pool.pages[node]!) continue;
    while (!cpu.store32(pool.hi, count, used + 1, Order.Relaxed)) yield;
    page = pool.first[node]! + used * 2 ** pool.unitShift;
    break;
  }
  yield* lock.release(cpu, pool.hi, pool.lo);
  cpu.ret = page < 0 ? -ENOMEM : 0;
  cpu.hi = page < 0 ? 0 : addressHi(page);
  cpu.lo = page < 0 ? 0 : addressLo(page);
}

/** For a message: "40 pages of 2M". */
export function describePool(pool: HugePool): string {
  const total = pool.pages.reduce((sum, count) => sum + count, 0);
  return `${total} pages of ${formatBytes(2 ** pool.unitShift)}`;
}
