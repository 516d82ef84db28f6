/**
 * Promises: a fault maps a frame of its own where none is mapped, on the node that the policy
 * names; munmap gives every frame and table back, after its flush and grace period; threads that
 * fault, map and unmap in one address space never reach a freed frame; files keep their pages.
 */

import { expect, test } from 'vitest';
import { CheckError } from '../../../../src/base/errors.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order, Tlbi } from '../../../../src/cpu/operations.ts';
import type { AddressSpace } from '../../../../src/kernel/mm/address-space.ts';
import { slotStart, VmaKind } from '../../../../src/kernel/mm/mm-struct.ts';
import { mmap, munmap } from '../../../../src/kernel/mm/mmap.ts';
import { bootFile, type FileImage } from '../../../../src/kernel/mm/page-cache.ts';
import { vaHi, vaLo } from '../../../../src/kernel/mm/virtual-address.ts';
import { nodeOf } from '../../../../src/memory/physical-address.ts';
import { Counter, Metric } from '../../../../src/metrics/definition.ts';
import { World, type WorldOptions } from './host-processes.ts';

const PAGE = 4096;
const MIB_2 = 2 ** 21;

function* touch(cpu: Cpu, start: number, bytes: number, step = PAGE): Program {
  for (let address = start; address < start + bytes; address += step) {
    while (!cpu.store8(vaHi(address), vaLo(address), 0, Order.Relaxed)) yield;
  }
}

function* read(cpu: Cpu, start: number, bytes: number): Program {
  for (let address = start; address < start + bytes; address += PAGE) {
    while (!cpu.load8(vaHi(address), vaLo(address), Order.Relaxed)) yield;
  }
}

function* passes(
  cpu: Cpu,
  space: AddressSpace,
  slot: number,
  kind: VmaKind,
  file: FileImage | null,
  count: number,
  bytes: number,
): Program {
  const start = slotStart(space.mm, slot);
  for (let pass = 0; pass < count; pass++) {
    yield mmap(cpu, space, slot, bytes, kind, file);
    if (pass % 2 === 1) yield read(cpu, start, bytes);
    yield touch(cpu, start, bytes);
    yield touch(cpu, start, bytes);
    yield munmap(cpu, space, slot);
    yield space.rcu.poll(cpu);
  }
}

function faults(world: World): number {
  return world.engine.cpus.reduce((n, cpu) => n + (cpu.counters.get(Counter.HostFaults) ?? 0), 0);
}

const variants: [string, Partial<WorldOptions>][] = [
  ['processes', {}],
  ['processes, rwsem', { options: { mmapLock: 'rwsem' } }],
  ['threads', { threads: true }],
  ['threads, rwsem', { threads: true, options: { mmapLock: 'rwsem' } }],
  ['threads, range flush', { threads: true, tlbirange: true }],
];

test.each(variants)('anonymous memory: %s', (_, variant) => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = new World({ seed, cpuCount: 3, ...variant });
    world.run((cpu, space, slot) =>
      passes(cpu, space, slot, VmaKind.Anonymous, null, 3, 12 * PAGE),
    );
    // Three passes of 12 pages, in one of them a read fault for each page before the write fault.
    expect(faults(world)).toBe(3 * (3 * 12 + 12));
    const [tables, pages] = world.allocated();
    expect(pages).toBe(0);
    // Two upper tables per process stay.
    expect(tables).toBe(variant.threads ? 2 : 6);
    for (const cpu of world.engine.cpus) {
      expect(cpu.metrics.get(Metric.HostFault)!.count).toBe(48);
      expect(cpu.metrics.get(Metric.Munmap)!.count).toBe(3);
    }
  }
});

test('the check for freed frames can fail: without TLBI a stale entry is used', () => {
  const world = new World({ seed: 1, cpuCount: 1, brokenTlbi: true });
  expect(() =>
    world.run((cpu, space, slot) => passes(cpu, space, slot, VmaKind.Anonymous, null, 2, PAGE)),
  ).toThrow(/reaches freed frame/);
});

test.each([
  ['shared', VmaKind.SharedFile],
  ['private', VmaKind.PrivateFile],
] as const)('one %s file mapped by all: pages stay in the cache, copies go', (_, kind) => {
  for (let seed = 1; seed <= 8; seed++) {
    let file: FileImage | null = null;
    const bytes = 6 * PAGE;
    const world = new World({
      seed,
      cpuCount: 3,
      threads: seed % 2 === 0,
      prepare: (engine) => {
        file = bootFile(engine.boot, 'tmpfile', 0, bytes);
      },
    });
    world.run((cpu, space, slot) => passes(cpu, space, slot, kind, file, 3, bytes));
    expect(world.allocated()[1]).toBe(6);
  }
});

test('first touch, interleave and bind choose the node', () => {
  const nodesOf = (options: Partial<WorldOptions>): number[] => {
    const nodes: number[] = [];
    const world = new World({ seed: 1, ...options });
    world.run(function* (cpu, space, slot): Program {
      yield mmap(cpu, space, slot, 4 * PAGE, VmaKind.Anonymous);
      const start = slotStart(space.mm, slot);
      yield touch(cpu, start, 4 * PAGE);
      if (cpu.id !== 1) return;
      for (let page = 0; page < 4; page++) {
        const address = start + page * PAGE;
        while (!cpu.translate(vaHi(address), vaLo(address), true)) yield;
        nodes.push(nodeOf(cpu.hi));
      }
    });
    return nodes;
  };
  expect(nodesOf({})).toEqual([1, 1, 1, 1]);
  expect(nodesOf({ memoryPolicy: 'interleave' })).toEqual([0, 1, 0, 1]);
  expect(nodesOf({ memoryPolicy: 'bind', bindNode: 0 })).toEqual([0, 0, 0, 0]);
});

test('huge pages: one fault per 2 MiB, pages where none fits', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const bytes = MIB_2 + 4 * PAGE;
    const world = new World({
      seed,
      cpuCount: 2,
      threads: seed % 2 === 0,
      areaBytes: bytes,
      options: { thp: 'always' },
      movableBytes: 64 << 20,
    });
    world.run(function* (cpu, space, slot): Program {
      const start = slotStart(space.mm, slot);
      for (let pass = 0; pass < 2; pass++) {
        yield mmap(cpu, space, slot, bytes, VmaKind.Anonymous);
        yield touch(cpu, start, bytes, 64 * PAGE);
        yield touch(cpu, start + MIB_2, 4 * PAGE);
        yield munmap(cpu, space, slot);
      }
    });
    expect(faults(world)).toBe(2 * 2 * 5);
    expect(world.allocated()[1]).toBe(0);
  }
});

test('threads race for the same pages and each page is mapped once', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = new World({ seed, cpuCount: 3, threads: true });
    let mapped = 0;
    world.run(function* (cpu, space): Program {
      if (cpu.id === 0) {
        yield mmap(cpu, space, 0, 5 * PAGE, VmaKind.Anonymous);
        mapped = 1;
      }
      while (mapped === 0) {
        while (!cpu.fence(0)) yield;
      }
      yield read(cpu, slotStart(space.mm, 0), (cpu.id + 1) * PAGE);
      yield touch(cpu, slotStart(space.mm, 0), 5 * PAGE);
    });
    expect(world.allocated()[1]).toBe(5);
  }
});

test('flushes a page, a range or the whole ASID as flush_tlb_range does', () => {
  const flushes = (bytes: number, tlbirange: boolean): [string, number][] => {
    const world = new World({ seed: 1, cpuCount: 1, tlbirange, areaBytes: bytes });
    world.run(function* (cpu, space, slot): Program {
      yield mmap(cpu, space, slot, bytes, VmaKind.Anonymous);
      yield touch(cpu, slotStart(space.mm, slot), bytes, bytes - PAGE);
      yield munmap(cpu, space, slot);
    });
    const names = Object.entries(Tlbi);
    return [...world.tlbis].map(([op, n]) => [names.find(([, v]) => v === op)![0], n]);
  };
  // The flush covers the 2 MiB of the freed table: 512 pages.
  expect(flushes(2 * PAGE, false)).toEqual([['AsidE1Is', 1]]);
  expect(flushes(2 * PAGE, true)).toEqual([['RvaE1Is', 1]]);
  expect(flushes(3 * MIB_2, false)).toEqual([['AsidE1Is', 1]]);
});

test('touching what is not mapped is a segmentation fault of the program', () => {
  const world = new World({ seed: 1, cpuCount: 1 });
  expect(() =>
    world.run((cpu, space, slot) => touch(cpu, slotStart(space.mm, slot), PAGE)),
  ).toThrow(CheckError);
});
