/**
 * What more CPUs cost: host time per access with 192 CPUs over host time with 8, both on two nodes.
 * The state of 192 private caches does not fit into the host's, so this is the host's own memory
 * that is measured.
 */

import { MIB } from '../../src/base/units.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { mcsRate } from './locks.ts';
import { randomHitRate, randomReadRate } from './reads.ts';

const FEW = 8;
const MANY = 192;

function growth(
  name: string,
  description: string,
  atMost: number | null,
  rate: (cpus: number) => number,
): Benchmark {
  return {
    name: `growth.${name}`,
    description: `${description}: host time each at ${MANY} CPUs over that at ${FEW}`,
    boundIs: `the rate is the same: 1`,
    unit: 'x',
    goal: atMost === null ? null : { of: 'value', atMost },
    measure: (): Measured => {
      const few = rate(FEW);
      const many = rate(MANY);
      const note = `${few.toPrecision(3)} and ${many.toPrecision(3)} M/s`;
      return { value: few / many, bound: 1, note };
    },
  };
}

export const growthOfHits = growth('privateHits', 'random loads in 32 KiB per CPU', 1.3, (cpus) =>
  randomHitRate(cpus),
);

export const growthOfMcs = growth('mcs', 'acquisitions of one MCS lock', 1.3, (cpus) =>
  mcsRate(cpus),
);

export const growthOfReads = growth('randomReads', 'random loads in 64 MiB per CPU', null, (cpus) =>
  randomReadRate(cpus, 64 * MIB, 4000),
);
