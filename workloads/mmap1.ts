/**
 * will-it-scale mmap1: each task maps anonymous memory and unmaps it without touching it.
 * With mode=threads this is mmap_lock and nothing else. An empty area has no tables, so the size
 * decides nothing.
 */

import { VmaKind } from '../src/kernel/mm/mm-struct.ts';
import { makeHostMemoryTest } from './common/host-memory-test.ts';

export const mmap1 = makeHostMemoryTest({
  name: 'mmap1',
  description: 'mmap and munmap of memory that nobody touches',
  testcase: 'Anonymous memory mmap/munmap of 128MB',
  kind: VmaKind.Anonymous,
  touches: false,
  scaledSize: '128M',
  typicalPs: 1_000_000,
});
