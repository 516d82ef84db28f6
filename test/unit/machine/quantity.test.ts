/** Promise: a latency is rounded to whole picoseconds once, when its profile is loaded (ER-T1). */

import { describe, expect, it } from 'vitest';
import { type QuantityKind, type Scalar, toBaseUnits } from '../../../src/machine/quantity.ts';

const CLOCK_MHZ = 2500;

function base(kind: QuantityKind, value: Scalar, unit = ''): number | undefined {
  return toBaseUnits(kind, value, unit, CLOCK_MHZ);
}

describe('toBaseUnits', () => {
  it.each([
    ['time', 138.6, '', 138_600],
    ['time', 114.08, 'ns', 114_080],
    ['time', 1.2, 'us', 1_200_000],
    ['time', 4, 'cycles', 1600],
    ['time', '11 cycles', '', 4400],
    ['time', '0.5 ns', '', 500],
    ['time', 0.0004, '', 0],
    ['size', '64K', '', 65_536],
    ['size', '1.25M', '', 1_310_720],
    ['size', 4096, '', 4096],
    ['bandwidth', 77, '', 77e9],
    ['bandwidth', '500 MB/s', '', 500e6],
    ['frequency', 2.7, 'GHz', 2700],
    ['frequency', '800 MHz', '', 800],
    ['count', '12', '', 12],
  ] as const)('%s %s %s', (kind, value, unit, expected) => {
    expect(base(kind, value, unit)).toBeCloseTo(expected, 6);
  });

  it.each([
    ['time', '3 parsecs', ''],
    ['time', 3, 'parsecs'],
    ['time', Number.NaN, ''],
    ['time', true, ''],
    ['time', '1e3', ''],
    ['size', '1.3', ''],
    ['size', -1, ''],
    ['size', '64Q', ''],
    ['count', 1.5, ''],
    ['count', '', ''],
    ['count', -1, ''],
  ] as const)('refuses %s %s %s', (kind, value, unit) => {
    expect(base(kind, value, unit)).toBeUndefined();
  });
});
