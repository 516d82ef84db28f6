/** Promises: bit operations do what their names say at word borders, and lose no bit in a race. */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  bitmapBytes,
  clearBit,
  findNextBit,
  findNextZeroBit,
  setBit,
  takeBits,
  takeWord,
  testAndClearBit,
  testAndSetBit,
  testBit,
} from '../../../../src/kernel/base/bitmap.ts';
import { toLinear } from '../../../../src/memory/physical-address.ts';
import { StepEngine } from '../../../support/step-engine.ts';

test('single bits, searches and words', () => {
  const engine = new StepEngine({ cpuCount: 1, nodeCount: 1 });
  const bits = 100;
  const { hi, lo } = toLinear(engine.boot.allocate(0, bitmapBytes(bits)));
  function* program(cpu: Cpu): Program {
    for (const bit of [0, 31, 32, 63, 99]) while (!setBit(cpu, hi, lo, bit)) yield;
    while (!testBit(cpu, hi, lo, 31)) yield;
    expect(cpu.ret).toBe(1);
    while (!testBit(cpu, hi, lo, 30)) yield;
    expect(cpu.ret).toBe(0);
    const found: number[] = [];
    for (let from = 0; ; from = found.at(-1)! + 1) {
      yield* findNextBit(cpu, hi, lo, bits, from);
      if (cpu.ret === bits) break;
      found.push(cpu.ret);
    }
    expect(found).toEqual([0, 31, 32, 63, 99]);
    yield* findNextZeroBit(cpu, hi, lo, bits, 31);
    expect(cpu.ret).toBe(33);
    yield* findNextZeroBit(cpu, hi, lo, bits, 99);
    expect(cpu.ret).toBe(bits);
    while (!testAndClearBit(cpu, hi, lo, 99)) yield;
    expect(cpu.ret).toBe(1);
    while (!testAndClearBit(cpu, hi, lo, 99)) yield;
    expect(cpu.ret).toBe(0);
    while (!clearBit(cpu, hi, lo, 0)) yield;
    while (!takeBits(cpu, hi, lo, 0, -1)) yield;
    expect(cpu.lo >>> 0).toBe(2 ** 31);
    while (!takeBits(cpu, hi, lo, 1, 6)) yield;
    expect(cpu.lo).toBe(0);
    while (!takeWord(cpu, hi, lo, 1)) yield;
    expect(cpu.lo >>> 0).toBe(2 ** 31 + 1);
    yield* findNextBit(cpu, hi, lo, bits, 0);
    expect(cpu.ret).toBe(bits);
  }
  engine.run([program]);
});

test('each bit is won by exactly one CPU', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const engine = new StepEngine({ cpuCount: 4, nodeCount: 2, seed });
    const { hi, lo } = toLinear(engine.boot.allocate(0, 64));
    const wins = [0, 0, 0, 0];
    function* program(cpu: Cpu): Program {
      for (let bit = 20; bit < 45; bit++) {
        while (!testAndSetBit(cpu, hi, lo, bit)) yield;
        if (cpu.ret === 0) wins[cpu.id]!++;
      }
    }
    engine.run([program, program, program, program]);
    expect(wins.reduce((a, b) => a + b)).toBe(25);
  }
});
