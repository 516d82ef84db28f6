/** The reproducible logarithm agrees with the host's up to rounding. */

import { expect, it } from 'vitest';
import { exp2, log2 } from '../../../../src/engine/explore/exhaustive/logarithm.ts';

it('agrees with the logarithm of the host', () => {
  for (const value of [1e-300, 3e-9, 0.1, 0.5, 1, 1.5, 2, 3, 1e6, 7.7e250]) {
    expect(log2(value)).toBeCloseTo(Math.log2(value), 10);
    expect(exp2(log2(value)) / value).toBeCloseTo(1, 10);
  }
  expect(log2(0)).toBe(Number.NEGATIVE_INFINITY);
  expect(exp2(Number.NEGATIVE_INFINITY)).toBe(0);
});
