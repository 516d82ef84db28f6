/**
 * Promise: a chase visits every line of its set once per round, in an order that the seed moves.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FullCycle } from '../../../workloads/common/full-cycle.ts';

describe('FullCycle', () => {
  it('is a permutation that repeats, for any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), (size, word) => {
        const cycle = new FullCycle(size, word);
        const first = Array.from({ length: size }, () => cycle.next());
        const second = Array.from({ length: size }, () => cycle.next());
        expect(new Set(first).size).toBe(size);
        expect(second).toEqual(first);
      }),
      { numRuns: 60 },
    );
  });

  it('rarely goes to the next line or stays in the page', () => {
    const size = 1 << 16;
    const cycle = new FullCycle(size, 12345);
    let near = 0;
    for (let i = 0, last = cycle.next(); i < size; i++) {
      const line = cycle.next();
      if (Math.abs(line - last) < 64) near++;
      last = line;
    }
    expect(near / size).toBeLessThan(0.01);
  });

  it('moves with the seed', () => {
    const take = (word: number): number[] => {
      const cycle = new FullCycle(1024, word);
      return Array.from({ length: 16 }, () => cycle.next());
    };
    expect(take(1)).not.toEqual(take(999_999));
  });
});
