/**
 * Promise: boot tables translate exactly what was mapped, for every granule, both stages and
 * any mix of ranges, and never let a leaf reach beyond its mapping. Method: random
 * disjoint mappings; translations found by softwareWalk are compared with the list of ranges.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MIB } from '../../src/base/units.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { addBytes } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import {
  createStage1Table,
  createStage2Table,
  type Mapping,
  mapRange,
} from '../../src/translation/boot-tables.ts';
import {
  GRANULE_4K,
  GRANULE_16K,
  GRANULE_64K,
  granuleBytes,
} from '../../src/translation/granule.ts';
import { softwareWalk } from '../../src/translation/software-walk.ts';
import { S1_USER_DATA_HI, S1_USER_DATA_LO } from '../../src/translation/stage1-descriptors.ts';
import { makeTestMachine } from '../support/test-machine.ts';

/** Each mapping lies in a window of its own, so that mappings are disjoint. */
const WINDOW_BYTES = 2 ** 35;
/** The low 48 bits, exact in a double. */
const numberOf = (address: { hi: number; lo: number }): number =>
  (address.hi & 0xffff) * 2 ** 32 + (address.lo >>> 0);

const mapping = fc.record({
  /** Pages from the start of the window; sizes around block and contiguous sizes. */
  skip: fc.constantFrom(0, 1, 3, 16, 32, 128, 511, 512, 2048, 8192),
  outputSkip: fc.constantFrom(0, 0, 1, 16, 512, 8192),
  pages: fc.constantFrom(1, 2, 15, 16, 17, 100, 128, 512, 513, 1040, 2048, 8192, 9000),
  contiguous: fc.boolean(),
  maximumShift: fc.constantFrom(undefined, undefined, 12, 21, 30),
});
const setup = fc.record({
  granule: fc.constantFrom(GRANULE_4K, GRANULE_16K, GRANULE_64K),
  shape: fc.constantFrom('high', 'low', 'stage 2 of 40 bits', 'stage 2 of 48 bits'),
  mappings: fc.array(mapping, { minLength: 1, maxLength: 4 }),
});

function freshBoot(): BootMemory {
  const machine = makeTestMachine({ memoryBytesPerNode: 2 ** 38 });
  const buffers = PhysicalMemory.allocate(machine.memoryBytesOfNode, 32 * MIB);
  return new BootMemory(machine, new PhysicalMemory(buffers));
}

describe('boot tables against a list of ranges', () => {
  test('every page in a mapping translates to its output, its neighbours fault', () => {
    fc.assert(
      fc.property(setup, ({ granule, shape, mappings }) => {
        const boot = freshBoot();
        const table = shape.startsWith('stage 2')
          ? createStage2Table(boot, 1, granule, shape.includes('40') ? 40 : 48)
          : createStage1Table(boot, 1, granule);
        const top = shape === 'high' ? 0xffff0000 | 0 : 0;
        const page = granuleBytes(granule);
        mappings.forEach((one, index) => {
          const start = index * WINDOW_BYTES + one.skip * page;
          const input = addBytes({ hi: top, lo: 0 }, start);
          const output = addBytes({ hi: 64, lo: 0 }, (one.skip + one.outputSkip) * page);
          const request: Mapping = {
            input,
            output,
            bytes: one.pages * page,
            attributesHi: S1_USER_DATA_HI,
            attributesLo: S1_USER_DATA_LO,
            contiguous: one.contiguous,
            tableNode: 0,
            ...(one.maximumShift === undefined ? {} : { maximumShift: one.maximumShift }),
          };
          mapRange(boot, table, request);
          checkMapping(boot, table, request, one.pages, page);
        });
      }),
      { numRuns: 120 },
    );
  });
});

function checkMapping(
  boot: BootMemory,
  table: ReturnType<typeof createStage1Table>,
  request: Mapping,
  pages: number,
  page: number,
): void {
  const probes = new Set([0, 1, 15, 16, 17, 511, 512, 513, pages >> 1, pages - 1]);
  for (const index of probes) {
    if (index >= pages) continue;
    const at = addBytes(request.input, index * page + 8);
    const walk = softwareWalk(boot.memory, table, at.hi, at.lo);
    expect(walk.fault).toBe('none');
    expect(numberOf(walk.output)).toBe(numberOf(request.output) + index * page + 8);
    if (request.contiguous !== true) {
      const limit = Math.max(request.maximumShift ?? 64, table.granule.shift);
      expect(walk.shift).toBeLessThanOrEqual(limit);
    }
    // What a TLB would cache as one entry lies inside the mapping, input and output alike aligned.
    const size = 2 ** walk.shift;
    const offset = index * page - (numberOf(at) % size) + 8;
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(offset + size).toBeLessThanOrEqual(pages * page);
    expect(numberOf(walk.output) % size).toBe(numberOf(at) % size);
  }
  const after = addBytes(request.input, pages * page);
  expect(softwareWalk(boot.memory, table, after.hi, after.lo).fault).toBe('translation');
}
