/**
 * Promise: a handler is interrupted by higher levels and by no other, masking holds back softirqs
 * and interrupts and lets NMIs and errors through, and what was interrupted goes on.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { InterruptLevel, Order } from '../../../../src/cpu/operations.ts';
import { openPrograms, runRandom, type Words } from '../../../support/explore-programs.ts';

const { Soft, Hard, Nmi, Error: SystemError } = InterruptLevel;
const LEVELS = [Soft, Hard, Nmi, SystemError] as const;

/** Stacks of levels that were seen, as text. */
function stacksOf(): Set<string> {
  const seen = new Set<string>();
  const stack: number[] = [];
  function* looks(cpu: Cpu, { x }: Words): Program {
    for (let i = 0; i < 3; i++) while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
  }
  const open = openPrograms([
    function* (cpu, words) {
      stack.length = 0;
      for (const level of LEVELS) {
        cpu.setInterrupt(
          level,
          function* (self) {
            stack.push(level);
            seen.add(stack.join(''));
            expect(self.interrupts(false), 'masked above softirqs').toBe(level === Soft);
            self.interrupts(level === Soft);
            yield* looks(self, words);
            expect(stack.pop()).toBe(level);
          },
          level,
        );
      }
      // Nobody sends before the handlers are there.
      while (!cpu.store32(words['y']!.hi, words['y']!.lo, 1, Order.Release)) yield;
      yield* looks(cpu, words);
    },
    function* (cpu, { y }) {
      while (!cpu.load32(y!.hi, y!.lo, Order.Acquire)) yield;
      if (cpu.lo === 0) return;
      for (const level of LEVELS) while (!cpu.ipi(0, level)) yield;
    },
  ]);
  runRandom(open, 400, ({ outcome }) => {
    expect(outcome).toBe('passed');
    expect(stack).toEqual([]);
  });
  return seen;
}

describe('levels of interrupts', () => {
  it('nest upwards, to four handlers, and never otherwise', () => {
    const seen = stacksOf();
    expect(seen).toContain(LEVELS.join(''));
    for (const stack of seen) expect([...stack].sort().join('')).toBe(stack);
    for (const stack of seen) expect(new Set(stack).size).toBe(stack.length);
  });

  it('come through a mask if they are NMIs or errors', () => {
    let hardMasked = 0;
    const open = openPrograms([
      function* (cpu, { x }) {
        cpu.interrupts(false);
        for (const level of LEVELS) {
          cpu.setInterrupt(
            level,
            function* (self) {
              while (!self.add32(x!.hi, x!.lo, 1 << (level * 4), Order.Relaxed)) yield;
            },
            level,
          );
        }
        for (let i = 0; i < 20; i++) while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
        if ((cpu.lo & 0xff0) !== 0) hardMasked++;
        cpu.interrupts(true);
      },
      function* (cpu) {
        for (const level of LEVELS) while (!cpu.ipi(0, level)) yield;
      },
    ]);
    let through = 0;
    runRandom(open, 100, ({ outcome }) => {
      expect(outcome).toBe('passed');
      if (open.value('x') >>> 12 === 0x11) through++;
    });
    expect(hardMasked).toBe(0);
    expect(through).toBeGreaterThan(0);
  });
});
