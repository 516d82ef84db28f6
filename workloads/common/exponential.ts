/**
 * Waiting times as integers: constant, uniform on [0, 2m), exponential with mean m. The exponential
 * comes from a table of 4,096 quantiles in 1/65536 of the mean, computed once with the four basic
 * operations only: these are exact in IEEE 754, while the last bit of Math.log may differ between
 * JavaScript engines and a digest must not.
 */

import { unreachable } from '../../src/base/assert.ts';

export const DISTRIBUTIONS = ['constant', 'uniform', 'exponential'] as const;
export type Distribution = (typeof DISTRIBUTIONS)[number];

const SLOTS = 4096;
const ONE = 65536;

/** Natural logarithm of x in (0, 1] by halving down and the atanh series. */
function naturalLog(x: number): number {
  const ln2 = Math.LN2;
  let halvings = 0;
  while (x < 0.75) {
    x *= 2;
    halvings++;
  }
  const z = (x - 1) / (x + 1);
  let sum = 0;
  let power = z;
  for (let n = 1; n < 40; n += 2) {
    sum += power / n;
    power *= z * z;
  }
  return 2 * sum - halvings * ln2;
}

function quantiles(): Uint32Array {
  const table = new Uint32Array(SLOTS);
  for (let i = 0; i < SLOTS; i++) {
    const survival = (SLOTS - i - 0.5) / SLOTS;
    table[i] = Math.round(-naturalLog(survival) * ONE);
  }
  return table;
}

const EXPONENTIAL = Object.freeze({ table: quantiles() });

/** A duration in picoseconds with the given mean, from 32 random bits. */
export function duration(distribution: Distribution, meanPs: number, word: number): number {
  switch (distribution) {
    case 'constant':
      return meanPs;
    case 'uniform':
      return Math.floor(((word >>> 0) / 0x1_0000_0000) * 2 * meanPs);
    case 'exponential':
      return Math.floor((EXPONENTIAL.table[word >>> 20]! * meanPs) / ONE);
    default:
      return unreachable(distribution);
  }
}
