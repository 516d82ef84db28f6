/**
 * will-it-scale page_fault1: each task maps anonymous memory, writes one byte of every page,
 * unmaps it and starts over. Iterations are page touches: allocation, zeroing, page-table locks and
 * the zone lock behind the page lists; with mode=threads mmap_lock (or the VMA's) and the shared
 * tables too.
 */

import { VmaKind } from '../src/kernel/mm/mm-struct.ts';
import { makeHostMemoryTest } from './common/host-memory-test.ts';

export const pageFault1 = makeHostMemoryTest({
  name: 'page_fault1',
  description: 'first touch of anonymous memory, page by page, then munmap',
  testcase: 'Anonymous memory page fault',
  kind: VmaKind.Anonymous,
  touches: true,
  scaledSize: '2M',
  typicalPs: 1_500_000,
});
