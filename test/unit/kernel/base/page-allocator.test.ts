/**
 * Promises: frames are conserved under every interleaving, two CPUs never hold one frame, fallback
 * goes to the nearest node with memory and is counted as numastat does, a double free is caught.
 */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { EventKind } from '../../../../src/cpu/operations.ts';
import { bootPageAllocator } from '../../../../src/kernel/base/boot-page-allocator.ts';
import { ENOMEM } from '../../../../src/kernel/base/errno.ts';
import { PageAllocator } from '../../../../src/kernel/base/page-allocator.ts';
import { MigrateType } from '../../../../src/kernel/base/zone.ts';
import { auditPages } from '../../../../src/kernel/base/zone-audit.ts';
import { nodeOf } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { makeTicketLock } from '../../../../src/sync/ticket.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const lock = makeTicketLock();

function setUp(seed: number, movableBytes: number, cpuCount = 4, nodeCount = 2) {
  /** Blocks that somebody holds, by first frame. */
  const held = new Map<string, number>();
  const engine = new StepEngine({
    cpuCount,
    nodeCount,
    seed,
    onEvent: (_, kind, hi, lo) => {
      const frame = `${hi}:${lo & ~0xfff}`;
      const order = lo & 0xfff;
      if (kind === EventKind.FrameAllocated) {
        expect(held.has(frame), `frame ${frame} is handed out twice`).toBe(false);
        held.set(frame, order);
      }
      if (kind === EventKind.FrameFreed) {
        expect(held.get(frame)).toBe(order);
        held.delete(frame);
      }
    },
  });
  const image = bootPageAllocator(engine.boot, {
    zoneLock: lock,
    movableBytes,
    listSize: { batch: 7, high: 14, highMax: seed % 2 === 0 ? 14 : 30 },
    shuffleSeed: seed,
  });
  return { engine, image, held };
}

/** Allocates and frees at random; leaves `keep` blocks behind. */
function* churn(cpu: Cpu, allocator: PageAllocator, steps: number, keep: number): Program {
  const mine: { hi: number; lo: number; order: number }[] = [];
  const orders = [0, 0, 0, 0, 1, 3, 9];
  for (let i = 0; i < steps; i++) {
    const draw = cpu.random(0);
    if (mine.length < 4 || (draw & 1) === 0) {
      const type = (draw & 6) === 0 ? MigrateType.Unmovable : MigrateType.Movable;
      const order = type === MigrateType.Unmovable ? 0 : orders[(draw >>> 3) % orders.length]!;
      yield* allocator.allocate(cpu, cpu.node, order, type);
      if (cpu.ret === 0) mine.push({ hi: cpu.hi, lo: cpu.lo, order });
    } else {
      const [block] = mine.splice((draw >>> 8) % mine.length, 1);
      yield* allocator.free(cpu, block!.hi, block!.lo, block!.order);
    }
  }
  while (mine.length > keep) {
    const block = mine.pop()!;
    yield* allocator.free(cpu, block.hi, block.lo, block.order);
  }
}

test('conserves frames under hundreds of interleavings', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const { engine, image, held } = setUp(seed, 8 << 20);
    const programs = [0, 1, 2, 3].map((id) => (cpu: Cpu) => {
      return churn(cpu, new PageAllocator(image, lock), 40, id);
    });
    engine.run(programs);
    const census = auditPages(image, (hi, lo) => engine.memory.peek32(hi, lo));
    const allocated = census.reduce((sum, { allocated }) => sum + allocated, 0);
    const pages = [...held.values()].reduce((sum, order) => sum + (1 << order), 0);
    expect(allocated).toBe(pages);
    for (const { managed, free, onPageLists, allocated, untouched } of census) {
      expect(free + onPageLists + allocated + untouched).toBe(managed);
    }
  }
});

test('falls back to the nearest node and counts as numastat', () => {
  const { engine, image } = setUp(1, 1 << 20);
  const allocator = new PageAllocator(image, lock);
  const nodes: number[] = [];
  function* program(cpu: Cpu): Program {
    for (let i = 0; i < 512; i++) {
      yield* allocator.allocate(cpu, 0, 0, MigrateType.Movable);
      expect(cpu.ret).toBe(0);
      nodes.push(nodeOf(cpu.hi));
    }
    yield* allocator.allocate(cpu, 0, 0, MigrateType.Movable);
    expect(cpu.ret).toBe(-ENOMEM);
    yield* allocator.allocate(cpu, 1, 0, MigrateType.Unmovable, true);
    expect(nodeOf(cpu.hi)).toBe(1);
  }
  engine.run([program]);
  expect(nodes).toEqual([...Array(256).fill(0), ...Array(256).fill(1)]);
  const { counters } = engine.cpus[0]!;
  expect(counters.get(Counter.NumaHit)).toBe(257);
  expect(counters.get(Counter.NumaMiss)).toBe(256);
  expect(counters.get(Counter.NumaForeign)).toBe(256);
  expect(counters.get(Counter.LocalNode)).toBe(256);
  expect(counters.get(Counter.OtherNode)).toBe(257);
  expect(counters.get(Counter.PagesAllocated)).toBe(513);
});

test('catches a frame that is freed twice, or with the wrong order, or while referenced', () => {
  function attempt(misuse: (cpu: Cpu, allocator: PageAllocator) => Program): () => void {
    return () => {
      const { engine, image } = setUp(1, 1 << 20, 1, 1);
      engine.run([(cpu) => misuse(cpu, new PageAllocator(image, lock))]);
    };
  }
  expect(
    attempt(function* (cpu, allocator) {
      yield* allocator.allocate(cpu, 0, 0, MigrateType.Movable);
      const { hi, lo } = cpu;
      yield* allocator.free(cpu, hi, lo, 0);
      yield* allocator.free(cpu, hi, lo, 0);
    }),
  ).toThrow(/frees page .* that is on a page list/);
  expect(
    attempt(function* (cpu, allocator) {
      yield* allocator.allocate(cpu, 0, 1, MigrateType.Movable);
      yield* allocator.free(cpu, cpu.hi, cpu.lo, 0);
    }),
  ).toThrow(/order 0, that is allocated with order 1/);
  expect(
    attempt(function* (cpu, allocator) {
      yield* allocator.allocate(cpu, 0, 0, MigrateType.Unmovable);
      const { hi, lo } = cpu;
      const page = allocator.structPageLo(hi, lo);
      while (!cpu.store32(allocator.structPageHi(hi), page + 4, 2, 0)) yield;
      yield* allocator.free(cpu, hi, lo, 0);
    }),
  ).toThrow(/with 2 references/);
});

test('the audit notices a lost frame', () => {
  const { engine, image } = setUp(1, 1 << 20, 1, 1);
  engine.run([(cpu) => churn(cpu, new PageAllocator(image, lock), 20, 1)]);
  const zone = image.zones[0]!;
  const { metadata, stride, first, end } = zone.regions[MigrateType.Movable];
  const peek = (hi: number, lo: number) => engine.memory.peek32(hi, lo);
  for (let index = first; index < end; index++) {
    const lo = metadata + (index - first) * stride;
    if (((peek(0, lo) >>> 4) & 3) === 3) engine.memory.poke32(0, lo, 0);
  }
  expect(() => auditPages(image, peek)).toThrow(/lost/);
});
