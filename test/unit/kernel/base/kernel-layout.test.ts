/** Promise: with replication the kernel image shares its top-level slot with nothing. */

import { describe, expect, it } from 'vitest';
import {
  kernelLayout,
  MODULES_BYTES,
  rootIndex,
} from '../../../../src/kernel/base/kernel-layout.ts';
import { addBytes } from '../../../../src/memory/physical-address.ts';

describe('kernel layout', () => {
  it('puts modules, image and vmalloc into one slot where text is shared', () => {
    const { modules, image, vmalloc } = kernelLayout(false);
    expect([modules, image, vmalloc].map(rootIndex)).toEqual([256, 256, 256]);
    expect(addBytes(modules, MODULES_BYTES)).toEqual(image);
    expect(vmalloc).toEqual({ hi: 0xffff8000 | 0, lo: 0xc0000000 | 0 });
  });

  it('gives the image a slot of its own where text is replicated', () => {
    const { modules, modulesBytes, image, vmalloc, vmallocBytes, fixmap } = kernelLayout(true);
    const last = (start: typeof image, bytes: number) => rootIndex(addBytes(start, bytes - 1));
    expect(rootIndex(modules)).toBe(256);
    expect(last(modules, modulesBytes)).toBe(256);
    expect(rootIndex(image)).toBe(257);
    expect(rootIndex(vmalloc)).toBe(258);
    expect(last(vmalloc, vmallocBytes)).toBeLessThan(rootIndex(fixmap));
    expect(addBytes(modules, modulesBytes)).toEqual(image);
  });
});
