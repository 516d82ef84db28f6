/**
 * Caches of table pages under stress (src/kernel/base/memcache.ts): each CPU fills its own from the
 * one page allocator, takes a page, writes to it, and gives all back. A page that is taken is
 * zeroed and nobody else's, and in the end every page is with the allocator again.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import {
  freeMemcache,
  memcacheBytes,
  takeFromMemcache,
  topUpMemcache,
} from '../../kernel/base/memcache.ts';
import { PageAllocator, type PageAllocatorImage } from '../../kernel/base/page-allocator.ts';
import { LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { spinlockByName } from '../../sync/registry.ts';
import { FRAMES } from '../oracles/frames.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { bootSmallPages, checkPages } from './page-allocator-target.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 48 * PAGE;
const CAPACITY = 1;
/** Two of them are on one node. */
const CPUS = 3;
const REUSED = 'a page that was written to was handed out again';

export function memcacheTarget(
  zoneLock: () => Lock = () => spinlockByName('spinlock'),
  name = 'memcache',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'caches of table pages filled, used and given back',
    smallest: { cpus: 1, operations: 1 },
    usual: { cpus: CPUS, operations: 2 },
    goals: [{ name: REUSED, leastCpus: 1, leastOperations: 2 }],
    ...shapeOf(CPUS, ROOM_BYTES),
    boot(memory, { cpus }) {
      const bytes = memcacheBytes(CAPACITY);
      const caches = toLinear(memory.allocateNamed('memcaches', 0, cpus * bytes));
      const pages = bootSmallPages(memory, zoneLock());
      return { addresses: { caches }, numbers: { bytes }, parts: { pages } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return fillAndUse(cpu, image, size, zoneLock(), report);
    },
    finish(memory, image, _size, report) {
      checkPages(memory, image.parts!['pages'] as PageAllocatorImage, 0, report);
    },
  };
}

function* fillAndUse(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  lock: Lock,
  report: Reporter,
): Program {
  const pages = new PageAllocator(image.parts!['pages'] as PageAllocatorImage, lock);
  const { hi, lo: first } = image.addresses['caches']!;
  const lo = first + cpu.id * image.numbers['bytes']!;
  const written = new Set<number>();
  for (let round = 0; round < size.operations; round++) {
    yield* topUpMemcache(cpu, pages, hi, lo, 1, CAPACITY);
    yield* takeFromMemcache(cpu, hi, lo);
    const { hi: pageHi, lo: pageLo } = cpu;
    if (written.has(pageLo)) report.reach(REUSED);
    written.add(pageLo);
    while (!cpu.load32(pageHi | LINEAR_MAP_HI, pageLo, Order.Relaxed)) yield;
    if (cpu.lo !== 0) {
      const text = 'is given a table page that is not zeroed';
      report.fail({ oracle: FRAMES, cpus: [cpu.id], text, hi: pageHi, lo: pageLo });
    }
    while (!cpu.store32(pageHi | LINEAR_MAP_HI, pageLo, 1 + cpu.id, Order.Relaxed)) yield;
    yield* pages.free(cpu, pageHi, pageLo, 0);
    cpu.mark();
  }
  yield* freeMemcache(cpu, pages, hi, lo);
}
