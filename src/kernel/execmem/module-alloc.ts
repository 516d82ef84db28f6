/**
 * allocator=module_alloc: an area of vmalloc for every program (bpf_jit_binary_alloc,
 * kernel/bpf/core.c up to v5.17; module_alloc, arch/arm64/kernel/module.c). The code is written
 * while the pages are writable; then set_memory_ro and set_memory_x, each with its flushes. Freeing
 * resets the linear alias first (VM_FLUSH_RESET_PERMS, mm/vmalloc.c: vm_reset_perms).
 */

import { Metric } from '../../metrics/definition.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { allocateInReach } from '../vmalloc/in-reach.ts';
import { type ExecutableMemory, writeWords } from './executable-memory.ts';
import type { ExecmemParts } from './parts.ts';
import { makeReadOnlyExecutable } from './protect.ts';

export function makeModuleAlloc(parts: ExecmemParts): ExecutableMemory {
  const { vmalloc, smp, image } = parts;
  return {
    writesInPlace: true,
    *allocate(cpu, bytes) {
      yield* allocateInReach(cpu, vmalloc, image.reach.ranges, {
        bytes: pagesOf(bytes) * PAGE_BYTES,
        alignShift: PAGE_SHIFT,
        node: cpu.node,
        attributesHi: S1_KERNEL_DATA_HI,
        attributesLo: S1_KERNEL_DATA_LO,
        resetPermissions: true,
      });
    },
    *install(cpu, hi, lo, bytes, source) {
      cpu.begin(Metric.BpfLoadJit);
      yield* writeWords(cpu, hi, lo, bytes, source);
      cpu.end(Metric.BpfLoadJit);
      cpu.begin(Metric.BpfLoadProtect);
      yield* smp.flushIcacheRange(cpu, hi, lo, bytes);
      yield* makeReadOnlyExecutable(cpu, parts, { hi, lo }, pagesOf(bytes), false);
      cpu.end(Metric.BpfLoadProtect);
    },
    free: (cpu, hi, lo) => vmalloc.free(cpu, hi, lo),
  };
}

export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}
