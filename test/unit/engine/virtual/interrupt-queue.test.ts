/** Interrupts come out by (arrival, vector), and none is merged with another. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InterruptQueue } from '../../../../src/engine/virtual/interrupt-queue.ts';

describe('InterruptQueue', () => {
  it('agrees with a sorted list', () => {
    const arrival = fc.record({ time: fc.nat(9), vector: fc.nat(3) });
    const step = fc.oneof(arrival, fc.constant('take' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const queue = new InterruptQueue();
        const model: { time: number; vector: number }[] = [];
        for (const next of steps) {
          if (next !== 'take') {
            queue.add(next.time, next.vector);
            model.push(next);
            model.sort((a, b) => a.time - b.time || a.vector - b.vector);
          } else if (model.length > 0) {
            expect(queue.take()).toBe(model.shift()!.vector);
          }
          expect(queue.earliest()).toBe(model[0]?.time ?? Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('keeps two interrupts of one vector apart', () => {
    const queue = new InterruptQueue();
    queue.add(5, 1);
    queue.add(5, 1);
    expect([queue.take(), queue.take()]).toEqual([1, 1]);
    expect(() => queue.take()).toThrow('no interrupt is pending');
  });
});
