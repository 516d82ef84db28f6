/**
 * vmalloc for text, in the first range that has room (module_alloc, arch/arm64/kernel/module.c,
 * v6.5, and execmem_vmalloc, mm/execmem.c, v6.10): addresses that reach the kernel by one
 * instruction first, then those that need a PLT entry.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { ENOMEM } from '../base/errno.ts';
import type { VmallocRange } from './image.ts';
import type { Vmalloc, VmallocRequest } from './vmalloc.ts';

/** ret and (hi, lo) as Vmalloc.allocate. */
export function* allocateInReach(
  cpu: Cpu,
  vmalloc: Vmalloc,
  ranges: readonly VmallocRange[],
  request: Omit<VmallocRequest, 'range'>,
): Program {
  cpu.ret = -ENOMEM;
  for (const range of ranges) {
    yield* vmalloc.allocate(cpu, { ...request, range });
    if (cpu.ret === 0) return;
  }
}
