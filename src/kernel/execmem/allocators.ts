/**
 * The allocators of executable memory by the name that the option gives them, and what is the same
 * for all: nothing for no bytes, and a PLT entry for text that is out of reach of the kernel's.
 *
 * Deviation: a PLT entry has room in the traps at the end of a program and is only counted.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Counter } from '../../metrics/definition.ts';
import { EINVAL } from '../base/errno.ts';
import type { ExecutableMemory } from './executable-memory.ts';
import { makeModuleAlloc } from './module-alloc.ts';
import type { AllocatorName } from './options.ts';
import type { ExecmemParts } from './parts.ts';
import { makePosted } from './posted.ts';
import { makeProgPack } from './prog-pack.ts';
import { isOutOfReach } from './reach.ts';
import { makeRoxCache } from './rox-cache.ts';
import { makeTyped } from './typed.ts';

type Make = (parts: ExecmemParts) => ExecutableMemory;

const ALLOCATORS: Readonly<Record<AllocatorName, Make>> = {
  module_alloc: makeModuleAlloc,
  prog_pack: makeProgPack,
  'execmem-posted': makePosted,
  'execmem-rox': makeRoxCache,
  typed: makeTyped,
};

export function makeAllocator(parts: ExecmemParts): ExecutableMemory {
  const make = ALLOCATORS[parts.image.options.allocator];
  return checked(parts, make(parts));
}

/** What every caller may rely on. */
export function checked({ image }: ExecmemParts, memory: ExecutableMemory): ExecutableMemory {
  return {
    ...memory,
    *allocate(cpu: Cpu, bytes: number): Program {
      if (bytes <= 0) {
        cpu.ret = -EINVAL;
        return;
      }
      yield* memory.allocate(cpu, bytes);
      if (cpu.ret < 0) return;
      const at = { hi: cpu.hi, lo: cpu.lo };
      if (isOutOfReach(image.reach, at, bytes)) cpu.count(Counter.ExecmemOutOfReach, 1);
    },
  };
}
