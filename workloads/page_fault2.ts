/**
 * will-it-scale page_fault2: each task maps a file of its own privately, writes one byte of every
 * page, unmaps it and starts over. Each touch looks up the page cache, allocates a page and copies.
 */

import { VmaKind } from '../src/kernel/mm/mm-struct.ts';
import { makeHostMemoryTest } from './common/host-memory-test.ts';

export const pageFault2 = makeHostMemoryTest({
  name: 'page_fault2',
  description: 'first write to a private mapping of a file: a copy per page',
  testcase: 'Separate file private mapping page fault',
  kind: VmaKind.PrivateFile,
  touches: true,
  scaledSize: '2M',
  typicalPs: 2_000_000,
});
