/**
 * Memory for the sections of modules by allocator (kernel/module/main.c: module_memory_alloc,
 * module_enable_text_rox, module_enable_rodata_ro, v6.13).
 *
 * module_alloc: an area of vmalloc for each, writable, then read-only or executable. execmem-rox:
 * text from the cache, writable for the time of loading (execmem_alloc_rw, execmem_restore_rox).
 * typed: by section type, read-only ones through a poke. prog_pack and execmem-posted are for BPF
 * programs alone: their kernels' modules use module_alloc.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../../src/kernel/base/struct-page.ts';
import { writeWords } from '../../src/kernel/execmem/executable-memory.ts';
import { pagesOf } from '../../src/kernel/execmem/module-alloc.ts';
import type { ExecmemParts } from '../../src/kernel/execmem/parts.ts';
import { makeReadOnlyExecutable } from '../../src/kernel/execmem/protect.ts';
import { RoxCache } from '../../src/kernel/execmem/rox-cache.ts';
import type { SectionType } from '../../src/kernel/execmem/section-types.ts';
import { TypedMemory } from '../../src/kernel/execmem/typed.ts';
import { SET_READ_ONLY } from '../../src/kernel/linear-map/set-memory.ts';
import type { PokeSource } from '../../src/kernel/patching/text-poke.ts';
import { allocateInReach } from '../../src/kernel/vmalloc/in-reach.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../src/translation/stage1-descriptors.ts';

export interface ModuleMemory {
  /** May a section be written where it is until protect? */
  isWritable(type: SectionType): boolean;
  /** ret = 0 and (hi, lo), or ret < 0. */
  allocate(cpu: Cpu, type: SectionType, bytes: number): Program;
  fill(cpu: Cpu, type: SectionType, at: Address, bytes: number, source: PokeSource): Program;
  /**
   * Final permissions: text may be executed from here on. ret = 0, or < 0. Absent: memory has them
   * from the beginning.
   */
  protect?(cpu: Cpu, type: SectionType, at: Address, bytes: number): Program;
  free(cpu: Cpu, type: SectionType, at: Address): Program;
}

function isText(type: SectionType): boolean {
  return type === 'TEXT' || type === 'INITTEXT';
}

export function makeModuleMemory(parts: ExecmemParts): ModuleMemory {
  const { allocator } = parts.image.options;
  if (allocator === 'typed') return makeTypedModules(parts);
  return allocator === 'execmem-rox' ? makeRoxModules(parts) : makeAreaModules(parts);
}

function makeAreaModules(parts: ExecmemParts): Required<ModuleMemory> {
  const { vmalloc, image, smp, setMemory } = parts;
  return {
    isWritable: () => true,
    *allocate(cpu, type, bytes) {
      yield* allocateInReach(cpu, vmalloc, image.reach.ranges, {
        bytes: pagesOf(bytes) * PAGE_BYTES,
        alignShift: PAGE_SHIFT,
        node: cpu.node,
        attributesHi: S1_KERNEL_DATA_HI,
        attributesLo: S1_KERNEL_DATA_LO,
        resetPermissions: isText(type) || type === 'RODATA',
      });
    },
    fill: (cpu, _type, { hi, lo }, bytes, source) => writeWords(cpu, hi, lo, bytes, source),
    *protect(cpu, type, at, bytes) {
      cpu.ret = 0;
      if (isText(type)) {
        yield* smp.flushIcacheRange(cpu, at.hi, at.lo, bytes);
        yield* makeReadOnlyExecutable(cpu, parts, at, pagesOf(bytes), true);
      } else if (type === 'RODATA') {
        yield* setMemory.change(cpu, at, pagesOf(bytes), SET_READ_ONLY);
      }
    },
    free: (cpu, _type, { hi, lo }) => vmalloc.free(cpu, hi, lo),
  };
}

function makeRoxModules(parts: ExecmemParts): ModuleMemory {
  const areas = makeAreaModules(parts);
  const cache = new RoxCache(parts);
  return {
    ...areas,
    allocate: (cpu, type, bytes) =>
      isText(type) ? cache.allocateWritable(cpu, bytes) : areas.allocate(cpu, type, bytes),
    protect: (cpu, type, at, bytes) =>
      isText(type) ? cache.restore(cpu, at, bytes) : areas.protect(cpu, type, at, bytes),
    free: (cpu, type, at) => (isText(type) ? cache.free(cpu, at) : areas.free(cpu, type, at)),
  };
}

function makeTypedModules(parts: ExecmemParts): ModuleMemory {
  const typed = new TypedMemory(parts);
  return {
    isWritable: (type) => !isText(type) && type !== 'RODATA',
    allocate: (cpu, type, bytes) => typed.allocate(cpu, type, bytes),
    fill: (cpu, type, at, bytes, source) => typed.fill(cpu, type, at, bytes, source),
    free: (cpu, type, at) => typed.free(cpu, type, at),
  };
}
