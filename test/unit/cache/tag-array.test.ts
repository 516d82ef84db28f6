/** A private cache against lists in order of use: hits, states, victims. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineState } from '../../../src/cache/line-state.ts';
import { TagArray } from '../../../src/cache/tag-array.ts';

const SETS = 16;
const WAYS = 3;

function makeArray(): TagArray {
  return new TagArray({ bytes: SETS * WAYS * 64, ways: WAYS, sets: SETS, latencyPs: 1 }, 4);
}

/** Lines on several nodes, few sets. */
const address = fc.record({
  hi: fc.constantFrom(0, 1, 63, 64, 3 * 64 + 5),
  lo: fc.tuple(fc.nat(3), fc.nat(5)).map(([set, tag]) => (set * 64 + tag * SETS * 64 * 77) | 0),
});
const step = fc.record({
  kind: fc.constantFrom('touch', 'fill', 'remove', 'set'),
  at: address,
  state: fc.constantFrom(LineState.Shared, LineState.Exclusive, LineState.Modified),
});

interface Line {
  readonly hi: number;
  readonly lo: number;
  state: number;
}

describe('TagArray', () => {
  it('agrees with lists in order of use', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const array = makeArray();
        // By set, most recently used first.
        const model = new Map<number, Line[]>();
        for (const { kind, at, state } of steps) {
          const set = (at.lo >>> 6) % SETS;
          const lines = model.get(set) ?? [];
          model.set(set, lines);
          const found = lines.findIndex(({ hi, lo }) => hi === at.hi && lo === at.lo);
          const way = array.find(at.hi, at.lo);
          expect(way >= 0).toBe(found >= 0);
          if (kind === 'touch') {
            const expected = found < 0 ? LineState.Invalid : lines[found]!.state;
            expect(array.touch(at.hi, at.lo)).toBe(expected);
            if (found >= 0) lines.unshift(...lines.splice(found, 1));
          } else if (kind === 'remove') {
            const expected = found < 0 ? LineState.Invalid : lines[found]!.state;
            expect(array.remove(at.hi, at.lo)).toBe(expected);
            if (found >= 0) lines.splice(found, 1);
          } else if (kind === 'set') {
            if (found < 0) continue;
            array.setState(way, state);
            lines[found]!.state = state;
          } else if (found < 0) {
            expectFill(array, lines, { ...at, state });
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('refuses a geometry whose tags would not tell all nodes apart', () => {
    const geometry = { bytes: 8 * 64, ways: 1, sets: 8, latencyPs: 1 };
    expect(() => new TagArray(geometry, 4)).toThrow('tag does not fit');
    expect(() => new TagArray({ ...geometry, sets: 12 }, 1)).toThrow('12 sets');
  });
});

function expectFill(array: TagArray, lines: Line[], fresh: Line): void {
  array.fill(fresh.hi, fresh.lo, fresh.state);
  const victim = lines.length === WAYS ? lines.pop() : undefined;
  expect(array.victimState).toBe(victim?.state ?? LineState.Invalid);
  if (victim !== undefined) {
    expect([array.victimHi, array.victimLo]).toEqual([victim.hi, victim.lo]);
  }
  lines.unshift(fresh);
}
