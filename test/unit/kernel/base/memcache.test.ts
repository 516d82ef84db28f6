/** Promises: a memcache hands out zeroed pages only, tops up to its capacity, leaks nothing. */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { bootPageAllocator } from '../../../../src/kernel/base/boot-page-allocator.ts';
import { ENOMEM } from '../../../../src/kernel/base/errno.ts';
import {
  freeMemcache,
  MEMCACHE_CAPACITY,
  memcacheBytes,
  takeFromMemcache,
  topUpMemcache,
} from '../../../../src/kernel/base/memcache.ts';
import { PageAllocator } from '../../../../src/kernel/base/page-allocator.ts';
import { auditPages } from '../../../../src/kernel/base/zone-audit.ts';
import { LINEAR_MAP_HI, toLinear } from '../../../../src/memory/physical-address.ts';
import { makeTicketLock } from '../../../../src/sync/ticket.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const lock = makeTicketLock();

function setUp(backedBytes: number) {
  const engine = new StepEngine({ cpuCount: 1, nodeCount: 1, backedBytes });
  const cache = toLinear(engine.boot.allocate(0, memcacheBytes()));
  const image = bootPageAllocator(engine.boot, {
    zoneLock: lock,
    movableBytes: 0,
    listSize: { batch: 3, high: 12, highMax: 12 },
  });
  const allocator = new PageAllocator(image, lock);
  const count = () => engine.peek32(cache);
  const allocated = () =>
    auditPages(image, (hi, lo) => engine.memory.peek32(hi, lo)).reduce(
      (n, c) => n + c.allocated,
      0,
    );
  return { engine, cache, allocator, count, allocated };
}

test('tops up when below the minimum, hands out zeroed pages, gives all back', () => {
  const { engine, cache, allocator, count, allocated } = setUp(1 << 20);
  function* program(cpu: Cpu): Program {
    const { hi, lo } = cache;
    // A page that was used before is handed out zeroed.
    yield allocator.allocate(cpu, 0, 0, 0);
    const page = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.store32(page.hi | LINEAR_MAP_HI, page.lo + 400, 7, Order.Relaxed)) yield;
    yield allocator.free(cpu, page.hi, page.lo, 0);
    yield topUpMemcache(cpu, allocator, hi, lo, 3);
    expect(cpu.ret).toBe(0);
    expect(count()).toBe(MEMCACHE_CAPACITY);
    for (let i = 0; i < MEMCACHE_CAPACITY - 2; i++) {
      yield* takeFromMemcache(cpu, hi, lo);
      expect(cpu.ret).toBe(0);
      const taken = { hi: cpu.hi, lo: cpu.lo };
      for (let at = 0; at < 4096; at += 4) expect(engine.peek32(taken, at)).toBe(0);
      yield allocator.free(cpu, taken.hi, taken.lo, 0);
    }
    const before = count();
    yield topUpMemcache(cpu, allocator, hi, lo, before);
    expect(count()).toBe(before);
    yield freeMemcache(cpu, allocator, hi, lo);
    expect(count()).toBe(0);
    yield* takeFromMemcache(cpu, hi, lo);
    expect(cpu.ret).toBe(-ENOMEM);
  }
  engine.run([program]);
  expect(allocated()).toBe(0);
});

test('keeps what it got when memory runs out and says whether it is enough', () => {
  // 20 pages or so are left for 40 objects.
  const { engine, cache, allocator, count } = setUp(128 * 1024);
  function* program(cpu: Cpu): Program {
    yield topUpMemcache(cpu, allocator, cache.hi, cache.lo, 3);
    expect(cpu.ret).toBe(0);
    expect(count()).toBeLessThan(MEMCACHE_CAPACITY);
    yield topUpMemcache(cpu, allocator, cache.hi, cache.lo, 39);
    expect(cpu.ret).toBe(-ENOMEM);
  }
  engine.run([program]);
});
