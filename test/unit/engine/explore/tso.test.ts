/**
 * Promise: under tso a store is seen by its own CPU at once, by others when it has drained, in
 * order; atomics and full fences wait for the buffer. Nothing of it under sc.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Fence, Order } from '../../../../src/cpu/operations.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { openPrograms, runRandom, type Words } from '../../../support/explore-programs.ts';

type Between = (cpu: Cpu, words: Words) => Program;

function* nothing(): Program {}

/** Store buffering (SB): stores to one word, then loads the other. */
function* storeThenLoad(
  cpu: Cpu,
  words: Words,
  mine: string,
  other: string,
  between: Between,
  order: Order,
): Program {
  const [own, theirs, result] = [words[mine]!, words[other]!, words[`seen${cpu.id}`]!];
  while (!cpu.store32(own.hi, own.lo, 1, order)) yield;
  yield* between(cpu, words);
  while (!cpu.load32(theirs.hi, theirs.lo, Order.Acquire)) yield;
  const seen = cpu.lo;
  while (!cpu.store32(result.hi, result.lo, seen + 1, Order.Relaxed)) yield;
}

function outcomes(model: MemoryModel, between: Between, order: Order = Order.Release): Set<string> {
  const open = openPrograms(
    [
      (cpu, words) => storeThenLoad(cpu, words, 'x', 'y', between, order),
      (cpu, words) => storeThenLoad(cpu, words, 'y', 'x', between, order),
    ],
    { model, words: ['x', 'y', 'z', 'seen0', 'seen1'] },
  );
  const seen = new Set<string>();
  runRandom(open, 400, ({ outcome }) => {
    expect(outcome).toBe('passed');
    seen.add(`${open.value('seen0') - 1}${open.value('seen1') - 1}`);
  });
  return seen;
}

describe('store buffering', () => {
  const all = ['00', '01', '10', '11'];
  const ordered = ['01', '10', '11'];

  it('shows under tso alone', () => {
    expect([...outcomes('sc', nothing)].sort()).toEqual(ordered);
    expect([...outcomes('tso', nothing)].sort()).toEqual(all);
  });

  const between: Record<string, Between> = {
    *'a full fence'(cpu) {
      while (!cpu.fence(Fence.DmbIsh)) yield;
    },
    *'an atomic elsewhere'(cpu, { z }) {
      while (!cpu.add32(z!.hi, z!.lo, 1, Order.Relaxed)) yield;
    },
    *'a DSB'(cpu) {
      while (!cpu.dsb(1)) yield;
    },
  };
  it.each(Object.keys(between))('is ended by %s', (name) => {
    expect([...outcomes('tso', between[name]!)].sort()).toEqual(ordered);
  });

  it('is ended by sequentially consistent stores', () => {
    const seen = outcomes('tso', nothing, Order.SequentiallyConsistent);
    expect([...seen].sort()).toEqual(ordered);
  });

  it('is not ended by fences for loads or stores alone', () => {
    const lightly: Between = function* (cpu) {
      while (!cpu.fence(Fence.DmbIshLd)) yield;
      while (!cpu.fence(Fence.DmbIshSt)) yield;
    };
    expect([...outcomes('tso', lightly)].sort()).toEqual(all);
  });
});

describe('a CPU sees its own stores', () => {
  it('byte by byte, in every width', () => {
    const open = openPrograms(
      [
        function* (cpu, { x }) {
          const { hi, lo } = x!;
          while (!cpu.store64(hi, lo, 0x11223344, 0x55667788, Order.Relaxed)) yield;
          while (!cpu.store8(hi, lo + 1, 0xab, Order.Relaxed)) yield;
          while (!cpu.store16(hi, lo + 6, 0xcdef, Order.Relaxed)) yield;
          while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
          expect([cpu.hi >>> 0, cpu.lo]).toEqual([0xcdef3344, 0x5566ab88]);
          while (!cpu.load8(hi, lo + 7, Order.Relaxed)) yield;
          expect(cpu.lo).toBe(0xcd);
          while (!cpu.store32(hi, lo + 4, 5, Order.Relaxed)) yield;
          while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
          expect([cpu.hi, cpu.lo]).toEqual([5, 0x5566ab88]);
          while (!cpu.cond32(hi, lo + 4, 0, -1, 5, Order.Relaxed)) yield;
          while (!cpu.swap16(hi, lo, 0x1234, Order.Relaxed)) yield;
          expect(cpu.lo).toBe(0xab88);
        },
      ],
      { model: 'tso' },
    );
    runRandom(open, 50, ({ finding }) => {
      expect(finding).toBeNull();
      expect(open.value('x')).toBe(0x55661234);
    });
  });

  it('and others see them in order', () => {
    const open = openPrograms(
      [
        function* (cpu, { x, y }) {
          while (!cpu.store32(x!.hi, x!.lo, 1, Order.Relaxed)) yield;
          while (!cpu.store32(y!.hi, y!.lo, 1, Order.Relaxed)) yield;
        },
        function* (cpu, { x, y }) {
          while (!cpu.load32(y!.hi, y!.lo, Order.Relaxed)) yield;
          const flag = cpu.lo;
          while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
          if (flag === 1) expect(cpu.lo).toBe(1);
        },
      ],
      { model: 'tso' },
    );
    runRandom(open, 300, ({ finding }) => expect(finding).toBeNull());
  });

  it('more stores than the buffer holds wait for drains', () => {
    const open = openPrograms(
      [
        function* (cpu, { x }) {
          for (let i = 1; i <= 100; i++) {
            while (!cpu.store32(x!.hi, x!.lo, i, Order.Relaxed)) yield;
          }
        },
      ],
      { model: 'tso' },
    );
    runRandom(open, 5, ({ outcome }) => {
      expect(outcome).toBe('passed');
      expect(open.value('x')).toBe(100);
    });
  });
});
