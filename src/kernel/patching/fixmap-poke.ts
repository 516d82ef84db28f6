/**
 * Poking through the fixmap (arch/arm64/kernel/patching.c: __text_poke, patch_map, patch_unmap;
 * v6.13): under patch_lock with interrupts off, the page is mapped at FIX_TEXT_POKE0, written, and
 * unmapped. The entry is in the kernel's own table, so it is a window for every CPU, and
 * clear_fixmap ends with flush_tlb_kernel_range: a broadcast per page.
 *
 * Linux finds the page by vmalloc_to_page or the image's own address; here by the table too.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { descriptorAt, type KernelMap } from '../../translation/boot-tables.ts';
import {
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
} from '../../translation/descriptors.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { FIXMAP_START } from '../base/kernel-layout.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { FlushKernelRange } from '../kernel-table/flush.ts';
import type { PokeSource, TextPoke } from './text-poke.ts';

/** FIX_TEXT_POKE0. */
export const POKE_WINDOW: Address = addBytes(FIXMAP_START, 16 * PAGE_BYTES);

/** Plain data; linear-map addresses. */
export interface FixmapImage {
  /** The window's descriptor. */
  readonly entry: Address;
  /** patch_lock, a raw spinlock. */
  readonly lock: Address;
}

export function bootFixmap(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  patchLock: Lock,
): FixmapImage {
  const entry = toLinear(descriptorAt(boot, map.table, POKE_WINDOW, 3, node));
  const lock = boot.allocateNamed('patch_lock', node, 64);
  patchLock.init?.(boot, lock);
  return { entry, lock: toLinear(lock) };
}

/** Finds the frame behind a text address: leaves its physical address in (hi, lo). */
export type FrameOf = (cpu: Cpu, hi: number, lo: number) => Program;

/** The steps that mutants replace. */
export interface FixmapSteps {
  /** From one word that is written to the next: 4, or more in a scaled-down search. */
  readonly strideBytes: number;
  flush(cpu: Cpu, flushKernelRange: FlushKernelRange): Program;
}

export const fixmapSteps: FixmapSteps = {
  strideBytes: 4,
  flush: (cpu, flushKernelRange) => flushKernelRange(cpu, POKE_WINDOW.hi, POKE_WINDOW.lo, 1),
};

export function makeFixmapPoke(
  image: FixmapImage,
  patchLock: Lock,
  flushKernelRange: FlushKernelRange,
  frameOf: FrameOf,
  steps: FixmapSteps = fixmapSteps,
): TextPoke {
  return {
    *write(cpu, hi, lo, bytes, source) {
      assert(((lo | bytes) & 3) === 0, 'a poke writes whole words');
      for (let done = 0; done < bytes; ) {
        const at = addBytes({ hi, lo }, done);
        const inPage = at.lo & (PAGE_BYTES - 1);
        const count = Math.min(bytes - done, PAGE_BYTES - inPage);
        yield* frameOf(cpu, at.hi, at.lo);
        yield* writePage(cpu, image, patchLock, source, done, count, steps, flushKernelRange);
        done += count;
      }
    },
  };
}

/** (cpu.hi, cpu.lo) = physical address of the first byte. */
function* writePage(
  cpu: Cpu,
  { entry, lock }: FixmapImage,
  patchLock: Lock,
  source: PokeSource,
  done: number,
  count: number,
  steps: FixmapSteps,
  flushKernelRange: FlushKernelRange,
): Program {
  const frame = { hi: outputHi(cpu.hi, 12), lo: outputLo(cpu.lo, 12) };
  const offset = cpu.lo & (PAGE_BYTES - 1);
  const interrupts = cpu.interrupts(false);
  yield* patchLock.acquire(cpu, lock.hi, lock.lo);
  const leafHi = leafDescriptorHi(frame.hi, S1_KERNEL_DATA_HI);
  const leafLo = leafDescriptorLo(frame.lo, S1_KERNEL_DATA_LO, 3);
  while (!cpu.store64(entry.hi, entry.lo, leafHi, leafLo, Order.Release)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  for (let at = 0; at < count; at += steps.strideBytes) {
    while (!source(cpu, done + at)) yield;
    const word = cpu.lo;
    const to = (POKE_WINDOW.lo + offset + at) | 0;
    while (!cpu.store32(POKE_WINDOW.hi, to, word, Order.Relaxed)) yield;
  }
  while (!cpu.store64(entry.hi, entry.lo, 0, 0, Order.Relaxed)) yield;
  yield* steps.flush(cpu, flushKernelRange);
  yield* patchLock.release(cpu, lock.hi, lock.lo);
  cpu.interrupts(interrupts);
}
