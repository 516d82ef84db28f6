/**
 * Poking through a temporary address space (arch/x86/kernel/alternative.c: __text_poke,
 * use_temporary_mm; v6.13): under text_mutex with interrupts off, this CPU alone switches to
 * poking_mm, in which up to two pages of text are mapped writable at an address of user space that
 * was drawn at boot; after the copy the mapping is removed, flushed on this CPU only, and the old
 * address space is back. Nobody else ever had the window, so there is no shootdown.
 *
 * The text is read back and compared, as the kernel does (BUG_ON on a mismatch).
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Register } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { createStage1Table, descriptorAt } from '../../translation/boot-tables.ts';
import {
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
} from '../../translation/descriptors.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
  S1_NOT_GLOBAL,
} from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { flushLocally } from '../kernel-table/flush.ts';
import type { FrameOf } from './fixmap-poke.ts';
import type { PokeSource, TextPoke } from './text-poke.ts';

/** poking_addr; Linux draws it at boot. */
export const POKING_ADDRESS: Address = { hi: 0x00005555, lo: 0x55400000 };
/** ASID of poking_mm. */
const POKING_ASID = 255;

/** Plain data. */
export interface PokingMmImage {
  /** Physical address of poking_mm's root. */
  readonly root: Address;
  /** Linear-map address of the window's first descriptor; the second follows. */
  readonly entry: Address;
  /** text_mutex, a linear-map address. */
  readonly mutex: Address;
  /** Physical addresses of the CPUs' own roots (TTBR0), by CPU. */
  readonly userRoots: readonly Address[];
}

export function bootPokingMm(
  boot: BootMemory,
  node: number,
  textMutex: Lock,
  userRoots: readonly Address[],
): PokingMmImage {
  const table = createStage1Table(boot, node, GRANULE_4K);
  const entry = toLinear(descriptorAt(boot, table, POKING_ADDRESS, 3, node));
  const mutex = boot.allocateNamed('text_mutex', node, Math.max(64, textMutex.bytes));
  textMutex.init?.(boot, mutex);
  return { root: table.root, entry, mutex: toLinear(mutex), userRoots };
}

export function makeTemporaryMmPoke(
  image: PokingMmImage,
  textMutex: Lock,
  frameOf: FrameOf,
): TextPoke {
  return {
    *write(cpu, hi, lo, bytes, source) {
      assert(((lo | bytes) & 3) === 0, 'a poke writes whole words');
      yield* textMutex.acquire(cpu, image.mutex.hi, image.mutex.lo);
      for (let done = 0; done < bytes; ) {
        const at = addBytes({ hi, lo }, done);
        const count = Math.min(bytes - done, PAGE_BYTES - (at.lo & (PAGE_BYTES - 1)));
        yield* frameOf(cpu, at.hi, at.lo);
        yield* writePage(cpu, image, source, done, count);
        yield* verify(cpu, at, source, done, count);
        done += count;
      }
      yield* textMutex.release(cpu, image.mutex.hi, image.mutex.lo);
    },
  };
}

/** (cpu.hi, cpu.lo) = physical address of the first byte; one page of the two that may be. */
function* writePage(
  cpu: Cpu,
  { root, entry, userRoots }: PokingMmImage,
  source: PokeSource,
  done: number,
  count: number,
): Program {
  const frame = { hi: outputHi(cpu.hi, 12), lo: outputLo(cpu.lo, 12) };
  const offset = cpu.lo & (PAGE_BYTES - 1);
  const interrupts = cpu.interrupts(false);
  const leafHi = leafDescriptorHi(frame.hi, S1_KERNEL_DATA_HI);
  const leafLo = leafDescriptorLo(frame.lo, S1_KERNEL_DATA_LO | S1_NOT_GLOBAL, 3);
  while (!cpu.store64(entry.hi, entry.lo, leafHi, leafLo, Order.Release)) yield;
  while (!cpu.setRoot(Register.Ttbr0, root.hi, root.lo, POKING_ASID)) yield;
  for (let at = 0; at < count; at += 4) {
    while (!source(cpu, done + at)) yield;
    const word = cpu.lo;
    const to = (POKING_ADDRESS.lo + offset + at) | 0;
    while (!cpu.store32(POKING_ADDRESS.hi, to, word, Order.Relaxed)) yield;
  }
  while (!cpu.store64(entry.hi, entry.lo, 0, 0, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DmbIsh)) yield;
  yield* flushLocally(cpu, POKING_ADDRESS.hi, POKING_ADDRESS.lo, 1);
  const own = userRoots[cpu.id]!;
  while (!cpu.setRoot(Register.Ttbr0, own.hi, own.lo, 1 + (cpu.id % (POKING_ASID - 1)))) yield;
  cpu.interrupts(interrupts);
}

function* verify(
  cpu: Cpu,
  text: Address,
  source: PokeSource,
  done: number,
  count: number,
): Program {
  for (let at = 0; at < count; at += 4) {
    while (!source(cpu, done + at)) yield;
    const wanted = cpu.lo;
    while (!cpu.load32(text.hi, (text.lo + at) | 0, Order.Relaxed)) yield;
    assert(cpu.lo === wanted, 'text_poke: the text differs from what was written');
  }
}
