/**
 * will-it-scale page_fault3: each task maps a file of its own shared, writes one byte of every
 * page, unmaps it and starts over. The pages stay in the page cache; faults only map them, and
 * unmapping dirty pages flushes the TLB under the page-table lock.
 */

import { VmaKind } from '../src/kernel/mm/mm-struct.ts';
import { makeHostMemoryTest } from './common/host-memory-test.ts';

export const pageFault3 = makeHostMemoryTest({
  name: 'page_fault3',
  description: 'first write to a shared mapping of a file',
  testcase: 'Separate file shared mapping page fault',
  kind: VmaKind.SharedFile,
  touches: true,
  scaledSize: '2M',
  typicalPs: 1_500_000,
});
