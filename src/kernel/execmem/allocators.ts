/** The allocators of executable memory by the name that the option gives them. */

import { assert } from '../../base/assert.ts';
import type { ExecutableMemory } from './executable-memory.ts';
import { makeModuleAlloc } from './module-alloc.ts';
import type { AllocatorName } from './options.ts';
import type { ExecmemParts } from './parts.ts';
import { makeProgPack } from './prog-pack.ts';

type Make = (parts: ExecmemParts) => ExecutableMemory;

const ALLOCATORS: Readonly<Partial<Record<AllocatorName, Make>>> = {
  module_alloc: makeModuleAlloc,
  prog_pack: makeProgPack,
};

export function makeAllocator(parts: ExecmemParts): ExecutableMemory {
  const { allocator } = parts.image.options;
  const make = ALLOCATORS[allocator];
  assert(make !== undefined, `no allocator ${allocator}`);
  return make(parts);
}
