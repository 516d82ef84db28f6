/**
 * A cache of zeroed table pages that a fault fills before it takes locks under which it may not
 * allocate (struct kvm_mmu_memory_cache; virt/kvm/kvm_main.c: kvm_mmu_topup_memory_cache,
 * kvm_mmu_memory_cache_alloc, kvm_mmu_free_memory_cache). One per vCPU, used by its thread alone.
 *
 * Layout: number of objects (4 bytes), then physical addresses, 8 bytes each.
 */

import { assert } from '../../base/assert.ts';
import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { ENOMEM } from './errno.ts';
import type { PageAllocator } from './page-allocator.ts';
import { zeroPages } from './page-operations.ts';
import { PAGE_BYTES } from './struct-page.ts';
import { MigrateType } from './zone.ts';

/** KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE on arm64. */
export const MEMCACHE_CAPACITY = 40;
const OBJECTS = 8;

/** Bytes of a cache, whole lines, zeroed at boot; the eager-split cache has its own capacity. */
export function memcacheBytes(capacity = MEMCACHE_CAPACITY): number {
  return Math.ceil((OBJECTS + capacity * 8) / LINE_BYTES) * LINE_BYTES;
}

/**
 * With fewer than `minimum` pages: fills up to the capacity from this CPU's node. ret = 0, or
 * -ENOMEM if fewer than `minimum` could be had.
 */
export function* topUpMemcache(
  cpu: Cpu,
  allocator: PageAllocator,
  hi: number,
  lo: number,
  minimum: number,
  capacity = MEMCACHE_CAPACITY,
): Program {
  while (!memcacheObjects(cpu, hi, lo)) yield;
  const count = cpu.lo;
  cpu.ret = 0;
  if (count < minimum) yield* fillMemcache(cpu, allocator, hi, lo, count, minimum, capacity);
}

/** mc->nobjs, in cpu.lo. */
export function memcacheObjects(cpu: Cpu, hi: number, lo: number): boolean {
  return cpu.load32(hi, lo, Order.Relaxed);
}

/** The filling part of topUpMemcache, for a cache with `objects` pages. */
export function* fillMemcache(
  cpu: Cpu,
  allocator: PageAllocator,
  hi: number,
  lo: number,
  objects: number,
  minimum: number,
  capacity = MEMCACHE_CAPACITY,
): Program {
  assert(minimum <= capacity, 'a memcache is asked for more than it holds');
  let count = objects;
  while (count < capacity) {
    yield* allocator.allocate(cpu, cpu.node, 0, MigrateType.Unmovable);
    if (cpu.ret < 0) break;
    const { hi: pageHi, lo: pageLo } = cpu;
    yield zeroPages(cpu, pageHi | LINEAR_MAP_HI, pageLo, PAGE_BYTES);
    const slot = (lo + OBJECTS + count * 8) | 0;
    while (!cpu.store64(hi, slot, pageHi, pageLo, Order.Relaxed)) yield;
    count++;
    while (!cpu.store32(hi, lo, count, Order.Relaxed)) yield;
  }
  cpu.ret = count >= minimum ? 0 : -ENOMEM;
}

/** ret = 0 and (hi, lo) = a zeroed page's physical address, or ret = -ENOMEM if it is empty. */
export function* takeFromMemcache(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const count = cpu.lo;
  if (count === 0) {
    cpu.ret = -ENOMEM;
    return;
  }
  while (!cpu.store32(hi, lo, count - 1, Order.Relaxed)) yield;
  while (!cpu.load64(hi, (lo + OBJECTS + (count - 1) * 8) | 0, Order.Relaxed)) yield;
  cpu.ret = 0;
}

/** Gives all pages back to the page allocator. */
export function* freeMemcache(cpu: Cpu, allocator: PageAllocator, hi: number, lo: number): Program {
  for (;;) {
    yield* takeFromMemcache(cpu, hi, lo);
    if (cpu.ret < 0) return;
    yield allocator.free(cpu, cpu.hi, cpu.lo, 0);
  }
}
