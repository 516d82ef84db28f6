/**
 * The buddy allocator against a simple model, a set of free pages: no frame is handed out twice,
 * an allocation fails only when no aligned run of free pages is left, and freeing everything
 * merges everything back into the largest blocks.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { bootPageAllocator } from '../../src/kernel/base/boot-page-allocator.ts';
import { giveBlock, takeBlock } from '../../src/kernel/base/buddy.ts';
import { orderOf, PageState, stateOf } from '../../src/kernel/base/struct-page.ts';
import {
  freeAreaLo,
  MigrateType,
  metadataLo,
  pageHi,
  type Region,
  type Zone,
} from '../../src/kernel/base/zone.ts';
import { makeTicketLock } from '../../src/sync/ticket.ts';
import { StepEngine } from '../support/step-engine.ts';

const PAGES = 1500;

interface Action {
  readonly allocate: boolean;
  readonly order: number;
  readonly pick: number;
}

const action = fc.record({
  allocate: fc.boolean(),
  order: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 10 })),
  pick: fc.nat(),
});

/** Free pages by index; an aligned run of them is what an allocation needs. */
class Model {
  readonly free = new Set<number>();
  readonly held: { index: number; order: number }[] = [];

  constructor(region: Region) {
    for (let index = region.first; index < region.end; index++) this.free.add(index);
  }

  fits(order: number): boolean {
    const size = 1 << order;
    for (const index of this.free) {
      if (index % size !== 0) continue;
      let run = 0;
      while (run < size && this.free.has(index + run)) run++;
      if (run === size) return true;
    }
    return false;
  }
}

function* play(cpu: Cpu, zone: Zone, actions: readonly Action[], model: Model): Program {
  const type = MigrateType.Movable;
  for (const { allocate, order, pick } of actions) {
    if (allocate) {
      yield* takeBlock(cpu, zone, type, order);
      const index = cpu.ret;
      expect(index >= 0).toBe(model.fits(order));
      if (index < 0) continue;
      expect(index % (1 << order)).toBe(0);
      for (let i = 0; i < 1 << order; i++) expect(model.free.delete(index + i)).toBe(true);
      model.held.push({ index, order });
    } else if (model.held.length > 0) {
      const [block] = model.held.splice(pick % model.held.length, 1);
      yield* giveBlock(cpu, zone, type, block!.index, block!.order);
      for (let i = 0; i < 1 << block!.order; i++) model.free.add(block!.index + i);
    }
  }
  for (const { index, order } of model.held) yield* giveBlock(cpu, zone, type, index, order);
}

function freeBlocks(engine: StepEngine, zone: Zone): number[] {
  const hi = pageHi(zone.node, 0);
  return Array.from({ length: 11 }, (_, order) =>
    engine.peek32({ hi, lo: freeAreaLo(zone, MigrateType.Movable, order) + 4 }),
  );
}

test('allocates and frees as a set of pages does, and merges all back', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), fc.nat(2000), (actions, skip) => {
      const engine = new StepEngine({ cpuCount: 1, nodeCount: 1, seed: 1 });
      engine.boot.allocateUnbacked(0, (1 + skip) * 4096);
      const image = bootPageAllocator(engine.boot, {
        zoneLock: makeTicketLock(),
        movableBytes: PAGES * 4096,
        shuffleSeed: skip % 2 === 0 ? skip : null,
      });
      const zone = image.zones[0]!;
      const region = zone.regions[MigrateType.Movable];
      const grown = actions.some(({ allocate }) => allocate);
      engine.run([(cpu) => play(cpu, zone, actions, new Model(region))]);
      const blocks = freeBlocks(engine, zone);
      const pages = blocks.reduce((sum, count, order) => sum + count * 2 ** order, 0);
      expect(pages).toBeLessThanOrEqual(PAGES);
      // At most two blocks per order below the largest: the ragged ends of the region.
      for (const count of blocks.slice(0, 10)) expect(count).toBeLessThanOrEqual(2);
      if (grown) expect(pages).toBeGreaterThan(0);
      for (let index = region.first; index < region.end; index++) {
        const word = engine.peek32({ hi: 0, lo: metadataLo(region, index) });
        if (stateOf(word) === PageState.None) continue;
        expect(stateOf(word)).toBe(PageState.Buddy);
        const size = 1 << orderOf(word);
        expect(index % size).toBe(0);
      }
    }),
    { numRuns: 60 },
  );
});
