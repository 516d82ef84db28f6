/** The directory against a Map: records keep what was written, and dropped lines are forgotten. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Directory } from '../../../src/cache/directory.ts';

interface Model {
  owner: number;
  readonly sharers: Set<number>;
  free: readonly [number, number];
}

const line = fc.integer({ min: 0, max: 40 }).map((n) => n * 0x01234567);
const step = fc.oneof(
  fc.record({ kind: fc.constant('owner' as const), line, cpu: fc.nat(99) }),
  fc.record({ kind: fc.constant('sharer' as const), line, cpu: fc.nat(99) }),
  fc.record({ kind: fc.constant('clear' as const), line, cpu: fc.constant(0) }),
  fc.record({ kind: fc.constant('free' as const), line, cpu: fc.nat(1e6) }),
  fc.record({ kind: fc.constant('drop' as const), line, cpu: fc.constant(0) }),
);

describe('Directory', () => {
  it('agrees with a Map, through growth and reuse of records', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        // A capacity of 4 makes it grow often.
        const directory = new Directory(100, 4);
        const model = new Map<number, Model>();
        for (const { kind, line: where, cpu } of steps) {
          const key = where | 0;
          let record = directory.find(key);
          expect(record >= 0).toBe(model.has(key));
          if (kind === 'drop') {
            if (record >= 0) directory.drop(record);
            model.delete(key);
            continue;
          }
          if (record < 0) {
            record = directory.create(key);
            model.set(key, { owner: -1, sharers: new Set(), free: [0, 0] });
          }
          apply(directory, record, model.get(key)!, kind, cpu);
        }
        for (const [key, expected] of model) compare(directory, directory.find(key), expected);
      }),
      { numRuns: 100 },
    );
  });

  it('says that a page has no records only if that is so', () => {
    const directory = new Directory(4, 4);
    const record = directory.create(0x1234);
    expect(directory.mayHoldPage(0x1234 & ~63)).toBe(true);
    directory.drop(record);
    expect(directory.mayHoldPage(0x1234 & ~63)).toBe(false);
  });
});

function apply(
  directory: Directory,
  record: number,
  model: Model,
  kind: 'owner' | 'sharer' | 'clear' | 'free',
  value: number,
): void {
  if (kind === 'owner') {
    directory.setOwner(record, value);
    model.owner = value;
  } else if (kind === 'sharer') {
    directory.addSharer(record, value);
    model.sharers.add(value);
  } else if (kind === 'clear') {
    directory.clearSharers(record);
    model.sharers.clear();
  } else {
    directory.setFree(record, value, value + 1);
    model.free = [value, value + 1];
  }
}

function compare(directory: Directory, record: number, model: Model): void {
  expect(directory.owner(record)).toBe(model.owner);
  expect(directory.hasSharers(record)).toBe(model.sharers.size > 0);
  for (let cpu = 0; cpu < 100; cpu++) {
    expect(directory.shares(record, cpu)).toBe(model.sharers.has(cpu));
  }
  expect([directory.freeShared(record), directory.freeExclusive(record)]).toEqual(model.free);
  expect(directory.fifoHead(record)).toBe(-1);
}
