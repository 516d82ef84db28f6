/** Targets of kernel text, executable memory and what both stand on, by name. */

import type { StressTarget } from '../target.ts';
import type { TargetFamily } from '../target-options.ts';
import { bpfFreeTarget } from './bpf-free-target.ts';
import { EXECMEM_TARGET } from './execmem-target.ts';
import { ktextPatchTarget } from './ktext-patch-target.ts';
import { ktextRootsTarget } from './ktext-roots-target.ts';
import { setMemoryTarget } from './set-memory-target.ts';
import { smpCallTarget } from './smp-call-target.ts';
import { textPokeTarget } from './text-poke-target.ts';
import { vmallocTarget } from './vmalloc-target.ts';

export const TEXT_TARGETS: Readonly<Record<string, () => StressTarget>> = {
  'smp-call': () => smpCallTarget(),
  'text-poke': () => textPokeTarget(),
  'ktext-patch': () => ktextPatchTarget(),
  'ktext-roots': () => ktextRootsTarget(),
  vmalloc: () => vmallocTarget(),
  'set-memory': () => setMemoryTarget(),
  'bpf-free': () => bpfFreeTarget(),
};

/** Those that take options. */
export const TEXT_FAMILIES: Readonly<Record<string, TargetFamily>> = { execmem: EXECMEM_TARGET };
