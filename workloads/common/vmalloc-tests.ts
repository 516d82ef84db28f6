/**
 * The cases of lib/test_vmalloc.c (v6.13) by bit of run_test_mask: what each allocates and frees in
 * one loop. Names, sizes and alignments are the module's own.
 *
 * Deviations: the long lists of full_fit and long_busy_list are as long as a parameter says; a
 * request that is aligned beyond the range of vmalloc fails, as in the kernel; 2-argument
 * kvfree_rcu is call_rcu per object, without kfree_rcu's bulk pages.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { rcuQuiescent } from '../../src/kernel/base/rcu.ts';
import { RCU_HEAD_BYTES, type Rcu } from '../../src/kernel/base/rcu-callbacks.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../../src/kernel/base/struct-page.ts';
import { VmallocRange } from '../../src/kernel/vmalloc/image.ts';
import type { Vmalloc } from '../../src/kernel/vmalloc/vmalloc.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../src/translation/stage1-descriptors.ts';

export interface VmallocTest {
  readonly bit: number;
  readonly name: string;
  /** Why it isn't here. */
  readonly refused?: string;
}

export const VMALLOC_TESTS: readonly VmallocTest[] = [
  { bit: 0, name: 'fix_size_alloc_test' },
  { bit: 1, name: 'full_fit_alloc_test' },
  { bit: 2, name: 'long_busy_list_alloc_test' },
  { bit: 3, name: 'random_size_alloc_test' },
  { bit: 4, name: 'fix_align_alloc_test' },
  { bit: 5, name: 'random_size_align_alloc_test' },
  { bit: 6, name: 'align_shift_alloc_test' },
  { bit: 7, name: 'pcpu_alloc_test', refused: 'no per-CPU allocator' },
  { bit: 8, name: 'kvfree_rcu_1_arg_vmalloc_test', refused: 'no bulk pages of kfree_rcu' },
  { bit: 9, name: 'kvfree_rcu_2_arg_vmalloc_test' },
  { bit: 10, name: 'vm_map_ram_test', refused: 'no vm_map_ram' },
];

/** THREAD_ALIGN << 1, THREAD_SIZE being 16 KiB. */
const FIX_ALIGN_SHIFT = 15;
/** fix_align_alloc_test allocates five pages. */
const FIX_ALIGN_PAGES = 5;
const RANDOM_PAGES_MAX = 100;
const RANDOM_ALIGN_SHIFTS = 23;
const BUSY_PAGES = 100;
const BITS_PER_LONG = 64;
/** What the range of vmalloc itself is aligned to: nothing in it is aligned to more. */
const ALIGN_SHIFT_MAX = 40;
/** Objects that wait for a grace period, at most: then the CPU waits too. */
const RCU_PENDING_MAX = 32;
export const KVFREE_HANDLER = 0;

export interface VmallocTestOptions {
  readonly loops: number;
  /** nr_pages, at least 1. */
  readonly pages: number;
  readonly useHuge: boolean;
  /** Objects of full_fit_alloc_test (twice) and of long_busy_list_alloc_test. */
  readonly junk: number;
  readonly busyList: number;
  readonly stream: number;
}

export interface VmallocTestParts {
  readonly vmalloc: Vmalloc;
  readonly rcu: Rcu;
}

/** Allocates and writes the first word. ret = 0 and (hi, lo), or -ENOMEM. */
function* take(
  cpu: Cpu,
  { vmalloc }: VmallocTestParts,
  pages: number,
  alignShift = PAGE_SHIFT,
  huge = false,
): Program {
  yield* vmalloc.allocate(cpu, {
    range: VmallocRange.Vmalloc,
    bytes: pages * PAGE_BYTES,
    alignShift,
    node: cpu.node,
    attributesHi: S1_KERNEL_DATA_HI,
    attributesLo: S1_KERNEL_DATA_LO,
    huge,
  });
  if (cpu.ret < 0) return;
  const { hi, lo } = cpu;
  while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;
  cpu.hi = hi;
  cpu.lo = lo;
}

/** One after the other; ret < 0 as soon as one fails. */
function* takeAndFree(
  cpu: Cpu,
  parts: VmallocTestParts,
  pages: number,
  alignShift?: number,
  huge?: boolean,
): Program {
  yield* take(cpu, parts, pages, alignShift, huge);
  if (cpu.ret < 0) return;
  yield* parts.vmalloc.free(cpu, cpu.hi, cpu.lo);
  while (!rcuQuiescent(cpu)) yield;
  cpu.ret = 0;
}

/** Fills `list` with areas of one page. */
function* takeList(cpu: Cpu, parts: VmallocTestParts, list: Address[], count: number): Program {
  for (let index = 0; index < count; index++) {
    yield* take(cpu, parts, 1);
    if (cpu.ret < 0) return;
    list.push({ hi: cpu.hi, lo: cpu.lo });
  }
}

function* freeList(cpu: Cpu, { vmalloc }: VmallocTestParts, list: readonly Address[]): Program {
  for (const { hi, lo } of list) yield* vmalloc.free(cpu, hi, lo);
}

function* fullFit(cpu: Cpu, parts: VmallocTestParts, options: VmallocTestOptions): Program {
  const kept: Address[] = [];
  const junk: Address[] = [];
  for (let index = 0; index < options.junk; index++) {
    yield* takeList(cpu, parts, kept, 1);
    if (cpu.ret === 0) yield* takeList(cpu, parts, junk, 1);
    if (cpu.ret < 0) break;
  }
  let { ret } = cpu;
  yield* freeList(cpu, parts, junk);
  for (let loop = 0; loop < options.loops && ret === 0; loop++) {
    yield* takeAndFree(cpu, parts, 1);
    ret = cpu.ret;
  }
  yield* freeList(cpu, parts, kept);
  cpu.ret = ret;
}

function* longBusyList(cpu: Cpu, parts: VmallocTestParts, options: VmallocTestOptions): Program {
  const list: Address[] = [];
  yield* takeList(cpu, parts, list, options.busyList);
  let { ret } = cpu;
  for (let loop = 0; loop < options.loops && ret === 0; loop++) {
    yield* take(cpu, parts, BUSY_PAGES);
    ret = cpu.ret;
    if (ret < 0) break;
    const first = { hi: cpu.hi, lo: cpu.lo };
    yield* takeAndFree(cpu, parts, 1);
    ret = cpu.ret;
    yield* parts.vmalloc.free(cpu, first.hi, first.lo);
  }
  yield* freeList(cpu, parts, list);
  cpu.ret = ret;
}

function* alignShift(cpu: Cpu, parts: VmallocTestParts): Program {
  for (let shift = 0; shift < BITS_PER_LONG; shift++) {
    if (shift > ALIGN_SHIFT_MAX) {
      cpu.ret = -1;
      return;
    }
    yield* takeAndFree(cpu, parts, 1, Math.max(PAGE_SHIFT, shift));
    if (cpu.ret < 0) return;
  }
}

function* kvfreeRcu(cpu: Cpu, parts: VmallocTestParts, { loops }: VmallocTestOptions): Program {
  for (let loop = 0; loop < loops; loop++) {
    yield* take(cpu, parts, 1);
    if (cpu.ret < 0) return;
    const { hi, lo } = cpu;
    const head = lo + PAGE_BYTES - RCU_HEAD_BYTES;
    yield* parts.rcu.call(cpu, hi, head | 0, KVFREE_HANDLER, hi, lo);
    if (loop % RCU_PENDING_MAX === RCU_PENDING_MAX - 1) yield parts.rcu.barrier(cpu);
    else yield* parts.rcu.poll(cpu);
  }
  yield parts.rcu.barrier(cpu);
  cpu.ret = 0;
}

/** One repetition of a case. ret = 0, or < 0: failed. */
export function* runVmallocTest(
  cpu: Cpu,
  bit: number,
  parts: VmallocTestParts,
  options: VmallocTestOptions,
): Program {
  const { loops, pages, useHuge, stream } = options;
  cpu.ret = 0;
  if (bit === 1) return yield* fullFit(cpu, parts, options);
  if (bit === 2) return yield* longBusyList(cpu, parts, options);
  if (bit === 6) return yield* alignShift(cpu, parts);
  if (bit === 9) return yield* kvfreeRcu(cpu, parts, options);
  for (let loop = 0; loop < loops; loop++) {
    if (bit === 0) yield* takeAndFree(cpu, parts, pages, PAGE_SHIFT, useHuge);
    if (bit === 3) yield* takeAndFree(cpu, parts, (cpu.random(stream) % RANDOM_PAGES_MAX) + 1);
    if (bit === 4) yield* takeAndFree(cpu, parts, FIX_ALIGN_PAGES, FIX_ALIGN_SHIFT);
    if (bit === 5) {
      const byte = cpu.random(stream) & 255;
      const shift = Math.max(PAGE_SHIFT, byte % RANDOM_ALIGN_SHIFTS);
      yield* takeAndFree(cpu, parts, (byte % 10) + 1, shift);
    }
    if (cpu.ret < 0) return;
  }
}
