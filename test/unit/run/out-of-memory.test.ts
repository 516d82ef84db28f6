/** Promise: running out of host memory is bad input, with the estimate and what to lower. */

import { expect, it } from 'vitest';
import { MIB } from '../../../src/base/units.ts';
import { HeapFullError, outOfMemory } from '../../../src/run/out-of-memory.ts';
import { resolveSpecification } from '../../../src/run/specification.ts';

const spec = await resolveSpecification({
  workload: 'lock_contention',
  assignments: [],
  repeat: '4',
  jobs: '2',
  check: false,
});

/** What V8 says, really asked. */
function refusedBuffer(): Error {
  try {
    return new Error(`${new SharedArrayBuffer(2 ** 50).byteLength} bytes were there`);
  } catch (error) {
    return error as Error;
  }
}

it('a full heap and a refused buffer are user errors', () => {
  const heap = outOfMemory(new HeapFullError(96 * MIB), spec, 1);
  expect(heap?.name).toBe('UserError');
  expect(heap?.message).toMatch(
    /its heap of 96 MiB \(estimated for the whole run: \d+ MiB\); lower/,
  );
  expect(heap?.message).toMatch(/lower --cpus, --jobs, the memory of the workload$/);
  const buffer = outOfMemory(refusedBuffer(), spec, 1);
  expect(buffer?.message).toMatch(/^out of host memory: the host gives no more memory \(/);
});

it('everything else is not', () => {
  expect(outOfMemory(new RangeError('Invalid array length'), spec, 1)).toBeNull();
  expect(outOfMemory(new Error('Array buffer allocation failed'), spec, 1)).toBeNull();
});
