/**
 * Shootdowns by IPI (x86): when munmap returns, no CPU of the process translates through the old
 * entries, by page and beyond the ceiling; nothing is broadcast. The test can fail: a flush that
 * tells nobody leaves the other CPU's entry.
 */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, isBroadcast, Order, type Tlbi } from '../../../../src/cpu/operations.ts';
import type { AddressSpace } from '../../../../src/kernel/mm/address-space.ts';
import { slotStart, VmaKind } from '../../../../src/kernel/mm/mm-struct.ts';
import { mmap, munmap } from '../../../../src/kernel/mm/mmap.ts';
import { vaHi, vaLo } from '../../../../src/kernel/mm/virtual-address.ts';
import { type Address, toLinear } from '../../../../src/memory/physical-address.ts';
import { World } from './host-processes.ts';

const PAGE = 4096;

/** CPU 0 maps and touches, the others read each page, CPU 0 unmaps and looks at their TLBs. */
function unmapUnderReaders(shootdown: 'ipi' | 'local', pages: number, seed: number): World {
  let flag: Address = { hi: 0, lo: 0 };
  const world = new World({
    seed,
    cpuCount: 3,
    threads: true,
    shootdown,
    prepare: ({ boot }) => {
      flag = toLinear(boot.allocate(0, 64));
    },
  });
  function* reach(cpu: Cpu, value: number): Program {
    while (!cpu.cond32(flag.hi, flag.lo, Condition.Equal, -1, value, Order.Acquire)) yield;
  }
  function* next(cpu: Cpu): Program {
    while (!cpu.add32(flag.hi, flag.lo, 1, Order.AcquireRelease)) yield;
  }
  world.run(function* (cpu: Cpu, space: AddressSpace): Program {
    const start = slotStart(space.mm, 0);
    const readers = world.engine.cpus.length - 1;
    if (cpu.id === 0) yield mmap(cpu, space, 0, pages * PAGE, VmaKind.Anonymous, null);
    if (cpu.id > 0) yield* reach(cpu, cpu.id);
    for (let page = 0; page < pages; page++) {
      const at = start + page * PAGE;
      while (!cpu.store8(vaHi(at), vaLo(at), 1, Order.Relaxed)) yield;
    }
    yield* next(cpu);
    if (cpu.id > 0) return;
    yield* reach(cpu, readers + 1);
    expect(world.remembers(1, start)).toBe(true);
    yield munmap(cpu, space, 0);
    for (const { id } of world.engine.cpus) {
      for (let page = 0; page < pages; page++) {
        expect(world.remembers(id, start + page * PAGE), `cpu ${id}, page ${page}`).toBe(false);
      }
    }
  });
  return world;
}

test.each([
  ['by page', 3],
  ['beyond tlb_single_page_flush_ceiling', 40],
])('an unmapping reaches every CPU of the process, %s', (_, pages) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { tlbis } = unmapUnderReaders('ipi', pages, seed);
    const issued = [...tlbis].map(([operation]) => operation as Tlbi);
    expect(issued.length).toBeGreaterThan(0);
    expect(issued.filter(isBroadcast)).toEqual([]);
  }
});

test('a shootdown that tells nobody is seen', () => {
  expect(() => unmapUnderReaders('local', 3, 1)).toThrow(/cpu 1, page 0/);
});
