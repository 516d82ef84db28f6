/** The last-level cache against slots that are replaced in turn. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LastLevelCache } from '../../../src/cache/last-level-cache.ts';
import { LastLevel } from '../../oracle/naive-cache.ts';

const geometry = { bytes: 3 * 4 * 64, ways: 4, sets: 3, latencyPs: 1 };
const step = fc.record({
  kind: fc.constantFrom('insert', 'remove', 'has', 'page'),
  line: fc.nat(30),
  dirty: fc.boolean(),
});

describe('LastLevelCache', () => {
  it('agrees with the naive one: hits, dirty victims, removed lines and pages', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const cache = new LastLevelCache(geometry);
        const model = new LastLevel(geometry);
        for (const { kind, line, dirty } of steps) {
          if (kind === 'insert')
            expect(cache.insert(line, dirty)).toBe(model.put(line * 64, dirty));
          if (kind === 'remove') expect(cache.remove(line)).toBe(model.take(line * 64));
          if (kind === 'page') {
            cache.removeRange(line, 7);
            for (let i = 0; i < 7; i++) model.take((line + i) * 64);
          }
          expect(cache.has(line)).toBe(model.has(line * 64));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('of no sets holds nothing and sends dirty lines on to memory', () => {
    const none = new LastLevelCache({ bytes: 0, ways: 1, sets: 0, latencyPs: 1 });
    expect(none.insert(1, true)).toBe(true);
    expect(none.insert(1, false)).toBe(false);
    expect(none.has(1)).toBe(false);
    expect(none.remove(1)).toBe(false);
  });
});
