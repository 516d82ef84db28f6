/**
 * Hazard pointers and the stack of table pages: no object is freed under a reader, no page is
 * handed out twice, every page is there at the end; and the steps that carry that, replaced.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Order } from '../../../src/cpu/operations.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import {
  type HazardSteps,
  hazardSteps,
  makeHazardPointers,
} from '../../../src/sync/hazard-pointers.ts';
import {
  makeTreiberStack,
  type TreiberSteps,
  treiberSteps,
} from '../../../src/sync/treiber-stack.ts';
import { firstFailure, lines, load, require, store } from '../../support/shared-words.ts';
import { StepEngine } from '../../support/step-engine.ts';

const SEEDS = 300;

describe('hazard pointers', () => {
  const ALIVE = 1;
  const FREED = 2;
  const OBJECTS = 10;

  function run(seed: number, changes: Partial<HazardSteps>): number {
    const hazards = makeHazardPointers({ ...hazardSteps, ...changes });
    const engine = new StepEngine({ seed, stepLimit: 100_000 });
    const [source] = lines(engine, 1);
    const objects = lines(engine, OBJECTS);
    const point = ({ hi, lo }: Address, to: Address) =>
      engine.boot.write64({ hi: hi & 0xffff, lo }, 0, to.hi, to.lo);
    point(source!, objects[0]!);
    for (const { hi, lo } of objects) engine.boot.write32({ hi: hi & 0xffff, lo }, 0, ALIVE);
    let kept = 0;
    function* reader(cpu: Cpu): Program {
      for (let i = 0; i < 8; i++) {
        yield* hazards.protect(cpu, i % 4, source!.hi, source!.lo);
        const object = { hi: cpu.hi, lo: cpu.lo };
        for (let look = 0; look < 3; look++) {
          yield* load(cpu, object);
          require(cpu.lo === ALIVE, 'a reader sees a freed object');
        }
        yield* hazards.clear(cpu, i % 4);
      }
    }
    function* free(cpu: Cpu, hi: number, lo: number): Program {
      yield* store(cpu, { hi, lo }, FREED);
    }
    function* writer(cpu: Cpu): Program {
      for (const { hi, lo } of objects.slice(1)) {
        while (!cpu.swap64(source!.hi, source!.lo, hi, lo, Order.AcquireRelease)) yield;
        yield* hazards.retire(cpu, cpu.hi, cpu.lo);
        yield* hazards.reclaim(cpu, free);
        kept += cpu.ret;
      }
      do yield* hazards.reclaim(cpu, free);
      while (cpu.ret !== 0);
    }
    engine.run([reader, writer, reader, reader]);
    const freed = objects.filter((object) => engine.peek32(object) === FREED).length;
    require(freed === OBJECTS - 1, `${freed} objects were freed`);
    return kept;
  }
  const breaks = (changes: Partial<HazardSteps>) =>
    firstFailure(SEEDS, (seed) => run(seed, changes));

  it('keep what is protected and free all the rest', () => {
    let kept = 0;
    for (let seed = 0; seed < SEEDS; seed++) kept += run(seed, {});
    expect(kept).toBeGreaterThan(0);
  });

  it('are broken by a reader that does not read the source again', () => {
    const recheck: HazardSteps['recheck'] = function* (cpu, sourceHi, sourceLo) {
      yield* load(cpu, { hi: sourceHi, lo: sourceLo });
      cpu.ret = 1;
    };
    expect(breaks({ recheck })).toMatch(/freed object/);
  });

  it('are broken by a reclaimer that looks at its own slots only', () => {
    const isProtected: HazardSteps['isProtected'] = function* (cpu) {
      yield* load(cpu, { hi: cpu.perCpuHi(cpu.id), lo: cpu.perCpuLo(cpu.id) });
      cpu.ret = 0;
    };
    expect(breaks({ isProtected })).toMatch(/freed object/);
  });

  it('hold without the barrier while every access takes effect at once', () => {
    expect(breaks({ fence: () => true })).toBeNull();
  });
});

describe('stack of table pages', () => {
  const PAGES = 4;
  const OWNER = 64;

  function run(seed: number, changes: Partial<TreiberSteps>): number {
    const stack = makeTreiberStack({ ...treiberSteps, ...changes });
    const engine = new StepEngine({ seed, stepLimit: 100_000 });
    const [head] = lines(engine, 1);
    const pages = Array.from({ length: PAGES }, (_, i) =>
      toLinear(engine.boot.allocate(i % 2, 4096, 4096)),
    );
    let empty = 0;
    function* take(cpu: Cpu, held: Address[]): Program {
      yield* stack.pop(cpu, head!.hi, head!.lo);
      if (cpu.ret === 0) {
        empty++;
        return;
      }
      const page = { hi: cpu.hi, lo: cpu.lo };
      held.push(page);
      while (!cpu.swap32(page.hi, page.lo + OWNER, cpu.id + 1, Order.Relaxed)) yield;
      require(cpu.lo === 0, 'a page was handed out twice');
    }
    function* give(cpu: Cpu, page: Address): Program {
      while (!cpu.swap32(page.hi, page.lo + OWNER, 0, Order.Relaxed)) yield;
      require(cpu.lo === cpu.id + 1, 'a page has two owners');
      yield* stack.push(cpu, head!.hi, head!.lo, page.hi, page.lo);
    }
    function* program(cpu: Cpu): Program {
      if (cpu.id === 0)
        for (const { hi, lo } of pages) yield* stack.push(cpu, head!.hi, head!.lo, hi, lo);
      for (let i = 0; i < 5; i++) {
        const held: Address[] = [];
        yield* take(cpu, held);
        yield* take(cpu, held);
        for (const page of held) yield* give(cpu, page);
      }
    }
    engine.run([program, program, program]);
    function* drain(cpu: Cpu): Program {
      const held: Address[] = [];
      for (let i = 0; i < PAGES; i++) yield* take(cpu, held);
      require(held.length === PAGES, `${PAGES - held.length} pages were lost`);
    }
    engine.run([null, drain]);
    return empty;
  }

  it('hands every page to one CPU at a time and loses none', () => {
    let empty = 0;
    for (let seed = 0; seed < SEEDS; seed++) empty += run(seed, {});
    expect(empty).toBeGreaterThan(0);
  });

  it('is broken by a head without a tag (ABA)', () => {
    const swing: TreiberSteps['swing'] = function* (cpu, hi, lo, sHi, sLo, pageHi, pageLo) {
      const order = Order.AcquireRelease;
      while (!cpu.cas64(hi, lo, sHi, sLo, pageHi & 0xffff, pageLo, order)) yield;
    };
    expect(firstFailure(SEEDS, (seed) => run(seed, { swing }))).toMatch(/twice|lost|owners/);
  });

  it('is broken by a swap that is a store', () => {
    const swing: TreiberSteps['swing'] = function* (cpu, hi, lo, _sHi, _sLo, pageHi, pageLo) {
      while (!cpu.store64(hi, lo, pageHi & 0xffff, pageLo, Order.Release)) yield;
      cpu.ok = true;
    };
    expect(firstFailure(SEEDS, (seed) => run(seed, { swing }))).toMatch(/twice|lost|owners/);
  });
});
