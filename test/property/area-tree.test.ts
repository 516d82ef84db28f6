/**
 * Promise: the area tree is a sorted list with a fast question: it finds the lowest area with room
 * at the alignment asked for, the area at or below an address, and keeps its invariants.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { AREA_BYTES, AreaField, AreaTree } from '../../src/kernel/base/area-tree.ts';
import { type Address, addBytes, toLinear } from '../../src/memory/physical-address.ts';
import type { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { StepEngine } from '../support/step-engine.ts';

const NODES = 40;
const UNIT_SHIFT = 12;
const BASE: Address = { hi: 0xffff8001 | 0, lo: 0xfffff000 | 0 };

interface Action {
  readonly kind: 'insert' | 'remove' | 'fit' | 'find' | 'shrink';
  readonly place: number;
  readonly units: number;
  readonly align: number;
}

const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom('insert', 'insert', 'remove', 'fit', 'find', 'shrink'),
  place: fc.integer({ min: 0, max: NODES - 1 }),
  units: fc.integer({ min: 1, max: 16 }),
  align: fc.integer({ min: 12, max: 15 }),
});

/** Place p covers at most units [16 p, 16 p + 16) from BASE, so that areas never overlap. */
const startOf = (place: number): Address => addBytes(BASE, place * 16 * 2 ** UNIT_SHIFT);
const numberOf = ({ hi, lo }: Address): number => (hi & 0xffff) * 2 ** 32 + (lo >>> 0);

class Model {
  readonly areas = new Map<number, { start: number; units: number }>();

  sorted() {
    return [...this.areas].sort(([, a], [, b]) => a.start - b.start);
  }

  lowestFit(units: number, align: number): number {
    const fits = this.sorted().find(([, area]) => {
      const aligned = Math.ceil(area.start / 2 ** align) * 2 ** align;
      return aligned + units * 2 ** UNIT_SHIFT <= area.start + area.units * 2 ** UNIT_SHIFT;
    });
    return fits?.[0] ?? -1;
  }

  atOrBelow(address: number): number {
    return this.sorted().findLast(([, { start }]) => start <= address)?.[0] ?? -1;
  }
}

function* play(cpu: Cpu, nodes: Address, root: Address, actions: readonly Action[]): Program {
  const tree = new AreaTree(root, UNIT_SHIFT);
  const model = new Model();
  const nodeOf = (place: number): Address => addBytes(nodes, place * AREA_BYTES);
  const placeOf = (): number => (cpu.ret < 0 ? -1 : (cpu.lo - nodes.lo) / AREA_BYTES);
  for (const { kind, place, units, align } of actions) {
    const { hi, lo } = nodeOf(place);
    const area = model.areas.get(place);
    if (kind === 'insert' && area === undefined) {
      const start = startOf(place);
      while (!cpu.store64(hi, lo + AreaField.Start, start.hi, start.lo, Order.Relaxed)) yield;
      while (!cpu.store32(hi, lo + AreaField.Units, units, Order.Relaxed)) yield;
      yield* tree.insert(cpu, hi, lo);
      model.areas.set(place, { start: numberOf(start), units });
    } else if (kind === 'remove' && area !== undefined) {
      yield* tree.remove(cpu, hi, lo);
      model.areas.delete(place);
    } else if (kind === 'shrink' && area !== undefined && area.units > 1) {
      const start = addBytes(startOf(place), 2 ** UNIT_SHIFT);
      if (numberOf(start) <= area.start) continue;
      while (!cpu.store64(hi, lo + AreaField.Start, start.hi, start.lo, Order.Relaxed)) yield;
      while (!cpu.store32(hi, lo + AreaField.Units, area.units - 1, Order.Relaxed)) yield;
      yield* tree.resized(cpu, hi, lo);
      model.areas.set(place, { start: numberOf(start), units: area.units - 1 });
    } else if (kind === 'fit') {
      yield* tree.lowestFit(cpu, units, align);
      expect(placeOf()).toBe(model.lowestFit(units, align));
    } else if (kind === 'find') {
      const at = addBytes(startOf(place), units * 100);
      yield* tree.atOrBelow(cpu, at.hi, at.lo);
      expect(placeOf()).toBe(model.atOrBelow(numberOf(at)));
    }
  }
  cpu.ret = model.areas.size;
}

/** Order, Largest and links of a subtree; returns its number of nodes and largest area. */
function check(memory: PhysicalMemory, at: Address, parent: Address): [number, number] {
  if ((at.hi | at.lo) === 0) return [0, 0];
  const word = (offset: number): number => memory.peek32(at.hi & 0xffff, at.lo + offset);
  const link = (offset: number): Address => ({ hi: word(offset + 4), lo: word(offset) });
  expect(link(AreaField.Parent)).toEqual(parent);
  const [leftCount, leftLargest] = check(memory, link(AreaField.Left), at);
  const [rightCount, rightLargest] = check(memory, link(AreaField.Right), at);
  const largest = Math.max(leftLargest, rightLargest, word(AreaField.Units));
  expect(word(AreaField.Largest)).toBe(largest);
  return [1 + leftCount + rightCount, largest];
}

test('agrees with a sorted list', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const engine = new StepEngine({ cpuCount: 1, nodeCount: 1 });
      const nodes = toLinear(engine.boot.allocate(0, NODES * AREA_BYTES));
      const physicalRoot = engine.boot.allocate(0, 64);
      let count = -1;
      engine.run([
        function* (cpu) {
          yield* play(cpu, nodes, toLinear(physicalRoot), actions);
          count = cpu.ret;
        },
      ]);
      const { memory } = engine;
      const top = {
        hi: memory.peek32(physicalRoot.hi, physicalRoot.lo + 4),
        lo: memory.peek32(physicalRoot.hi, physicalRoot.lo),
      };
      expect(check(memory, top, { hi: 0, lo: 0 })[0]).toBe(count);
    }),
    { numRuns: 150 },
  );
});
