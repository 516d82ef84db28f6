/** Messages come out in order of (time, rank, hash, CPU, address), whatever order they went in. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventQueue } from '../../../src/cache/event-queue.ts';

const message = fc.record({
  time: fc.nat(5),
  rank: fc.nat(2),
  hash: fc.integer({ min: -2, max: 2 }),
  cpu: fc.nat(3),
  lo: fc.nat(3),
});
type Message = { time: number; rank: number; hash: number; cpu: number; lo: number };

function push(queue: EventQueue, m: Message): void {
  const record = queue.allocate();
  queue.time[record] = m.time;
  queue.rank[record] = m.rank;
  queue.hash[record] = m.hash;
  queue.hashed[record] = 1;
  queue.cpu[record] = m.cpu;
  queue.lo[record] = m.lo;
  queue.push(record);
}

function pop(queue: EventQueue): Message {
  const record = queue.pop();
  const taken = {
    time: queue.time[record]!,
    rank: queue.rank[record]!,
    hash: queue.hash[record]!,
    cpu: queue.cpu[record]!,
    lo: queue.lo[record]!,
  };
  queue.release(record);
  return taken;
}

const inOrder = (a: Message, b: Message): number =>
  a.time - b.time || a.rank - b.rank || a.hash - b.hash || a.cpu - b.cpu || a.lo - b.lo;

describe('EventQueue', () => {
  it('agrees with a sorted array while messages come and go', () => {
    const step = fc.oneof(message, fc.constant('pop' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const queue = new EventQueue();
        const model: Message[] = [];
        for (const next of steps) {
          if (next === 'pop') {
            if (model.length > 0) expect(pop(queue)).toEqual(model.shift());
          } else {
            push(queue, next);
            model.push(next);
            model.sort(inOrder);
          }
          expect(queue.size).toBe(model.length);
          expect(queue.earliest()).toBe(model[0]?.time ?? Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('grows beyond its first 256 records without mixing them up', () => {
    const queue = new EventQueue();
    for (let i = 999; i >= 0; i--) push(queue, { time: i, rank: 0, hash: 0, cpu: i % 7, lo: i });
    for (let i = 0; i < 1000; i++) {
      expect(pop(queue)).toEqual({ time: i, rank: 0, hash: 0, cpu: i % 7, lo: i });
    }
  });
});
