/**
 * allocator=prog_pack: programs share packs (kernel/bpf/core.c, v6.0: bpf_prog_pack_alloc,
 * bpf_prog_pack_free, bpf_jit_binary_pack_finalize). A pack is PMD_SIZE x possible nodes, filled
 * with traps and made read-only and executable once; chunks of 64 bytes in a bitmap under
 * pack_mutex, first fit; code is written through a poke window. What is larger than a pack gets
 * pages of its own, as module_alloc.
 *
 * Deviation: the bitmap and its list are in one place per pack, allocated before time 0.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, fromLinear, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeMutex } from '../../sync/mutex.ts';
import { type KernelMap, mapRange } from '../../translation/boot-tables.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
  S1_KERNEL_TEXT_HI,
  S1_KERNEL_TEXT_LO,
} from '../../translation/stage1-descriptors.ts';
import { bitmapBytes, clearBit, findNextBit, findNextZeroBit, setBit } from '../base/bitmap.ts';
import { ENOMEM } from '../base/errno.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { makeAliasReadOnly } from '../linear-map/image.ts';
import { fillWith } from '../patching/text-poke.ts';
import { allocateInReach } from '../vmalloc/in-reach.ts';
import { CHUNK_BYTES } from './chunk.ts';
import { type ExecutableMemory, trapWord } from './executable-memory.ts';
import { makeModuleAlloc } from './module-alloc.ts';
import type { ExecmemParts } from './parts.ts';
import { makeReadOnlyExecutable } from './protect.ts';
import { PMD_BYTES } from './scale.ts';

/** Packs that may exist at once. */
const PACKS_MAX = 64;

/** Per pack: its first address (0 = no pack), then the bitmap. */
const PackField = { Start: 0, Bitmap: 64 } as const;

/** Plain data; linear-map addresses. */
export interface PackImage {
  readonly mutex: Address;
  readonly packs: Address;
  readonly packBytes: number;
}

/** BPF_PROG_PACK_SIZE. */
export function packBytes(machine: Machine, pmdBytes = PMD_BYTES): number {
  return pmdBytes * machine.nodeCount;
}

function recordBytes(bytes: number): number {
  return PackField.Bitmap + bitmapBytes(bytes / CHUNK_BYTES);
}

export function packsBytes(machine: Machine): number {
  return PACKS_MAX * recordBytes(packBytes(machine)) + 256;
}

export function bootPacks(boot: BootMemory, node: number, bytes: number): PackImage {
  const mutex = boot.allocateNamed('pack_mutex', node, Math.max(64, makeMutex().bytes));
  const packs = boot.allocateNamed('pack_list', node, PACKS_MAX * recordBytes(bytes));
  return { mutex: toLinear(mutex), packs: toLinear(packs), packBytes: bytes };
}

/**
 * A pack that somebody loaded programs into long before time 0: at the start of the modules range,
 * read-only, executable, full of traps, its first chunk in use for good.
 */
export function preparePack(
  boot: BootMemory,
  { packs, packBytes: bytes }: PackImage,
  options: { map: KernelMap; node: number; start: Address; huge: boolean; readOnlyAlias: boolean },
): void {
  const { map, node, start, huge, readOnlyAlias } = options;
  const physical = boot.allocateText('bpf_prog_pack', node, bytes, huge ? PMD_BYTES : PAGE_BYTES);
  const trap = trapWord(boot.machine);
  for (let offset = 0; offset < bytes; offset += 4) boot.write32(physical, offset, trap);
  mapRange(boot, map.table, {
    input: start,
    output: physical,
    bytes,
    attributesHi: S1_KERNEL_TEXT_HI,
    attributesLo: S1_KERNEL_TEXT_LO,
    tableNode: node,
    maximumShift: huge ? 21 : PAGE_SHIFT,
  });
  if (readOnlyAlias) makeAliasReadOnly(boot, map, node, physical, bytes);
  const record = fromLinear(packs);
  boot.write64(record, PackField.Start, start.hi, start.lo);
  boot.write32(record, PackField.Bitmap, 1);
}

export function makeProgPack(parts: ExecmemParts): ExecutableMemory {
  const own = makeModuleAlloc(parts);
  const packs = new Packs(parts);
  return {
    writesInPlace: false,
    *allocate(cpu, bytes) {
      if (bytes > parts.image.packs.packBytes) yield* own.allocate(cpu, bytes);
      else yield* packs.allocate(cpu, chunksOf(bytes));
    },
    *install(cpu, hi, lo, bytes, source) {
      if (bytes > parts.image.packs.packBytes) {
        yield* own.install(cpu, hi, lo, bytes, source);
        return;
      }
      cpu.begin(Metric.BpfLoadPoke);
      yield* parts.poke.write(cpu, hi, lo, bytes, source);
      yield* parts.smp.flushIcacheRange(cpu, hi, lo, bytes);
      cpu.end(Metric.BpfLoadPoke);
      cpu.ret = 0;
    },
    *free(cpu, hi, lo, bytes) {
      if (bytes > parts.image.packs.packBytes) yield* own.free(cpu, hi, lo, bytes);
      else yield* packs.free(cpu, { hi, lo }, chunksOf(bytes));
    },
  };
}

function chunksOf(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES);
}

class Packs {
  readonly #parts: ExecmemParts;
  readonly #mutex: Lock = makeMutex();

  constructor(parts: ExecmemParts) {
    this.#parts = parts;
  }

  *allocate(cpu: Cpu, chunks: number): Program {
    const { mutex, packs, packBytes: bytes } = this.#parts.image.packs;
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    let result: Address | null = null;
    for (let pack = 0; pack < PACKS_MAX && result === null; pack++) {
      const record = addBytes(packs, pack * recordBytes(bytes));
      while (!cpu.load64(record.hi, record.lo + PackField.Start, Order.Relaxed)) yield;
      if ((cpu.hi | cpu.lo) === 0) {
        yield this.#newPack(cpu, record);
        if (cpu.ret < 0) break;
        while (!cpu.load64(record.hi, record.lo + PackField.Start, Order.Relaxed)) yield;
      }
      const start = { hi: cpu.hi, lo: cpu.lo };
      yield* findArea(cpu, record, bytes / CHUNK_BYTES, chunks);
      if (cpu.ret < 0) continue;
      const first = cpu.ret;
      for (let chunk = first; chunk < first + chunks; chunk++) {
        while (!setBit(cpu, record.hi, record.lo + PackField.Bitmap, chunk)) yield;
      }
      result = addBytes(start, first * CHUNK_BYTES);
    }
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.ret = result === null ? -ENOMEM : 0;
    cpu.hi = result?.hi ?? 0;
    cpu.lo = result?.lo ?? 0;
  }

  /** alloc_new_pack: filled with traps, then read-only and executable for good. */
  *#newPack(cpu: Cpu, record: Address): Program {
    const { vmalloc, image, machine } = this.#parts;
    const { packBytes: bytes } = image.packs;
    yield* allocateInReach(cpu, vmalloc, image.reach.ranges, {
      bytes,
      alignShift: PAGE_SHIFT,
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
      huge: image.options.packPages === '2M',
      resetPermissions: true,
    });
    if (cpu.ret < 0) return;
    const { hi, lo } = cpu;
    cpu.count(Counter.ExecmemPopulated, 1);
    yield* this.#parts.steps.fill(cpu, hi, lo, bytes, trapWord(machine));
    yield* makeReadOnlyExecutable(cpu, this.#parts, { hi, lo }, bytes / PAGE_BYTES, false);
    if (cpu.ret < 0) {
      yield* vmalloc.free(cpu, hi, lo);
      cpu.ret = -ENOMEM;
      return;
    }
    while (!cpu.store64(record.hi, record.lo + PackField.Start, hi, lo, Order.Relaxed)) yield;
    cpu.ret = 0;
  }

  /** bpf_prog_pack_free: trap filler first, then the chunks, then the pack if it is empty. */
  *free(cpu: Cpu, at: Address, chunks: number): Program {
    const { mutex, packs, packBytes: bytes } = this.#parts.image.packs;
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    const record = yield* this.#recordOf(cpu, packs, bytes, at);
    const start = record.start;
    const first = offsetFrom(start, at) / CHUNK_BYTES;
    const filler = fillWith(trapWord(this.#parts.machine));
    yield* this.#parts.poke.write(cpu, at.hi, at.lo, chunks * CHUNK_BYTES, filler);
    yield* this.#parts.smp.flushIcacheRange(cpu, at.hi, at.lo, chunks * CHUNK_BYTES);
    const bitmapLo = record.at.lo + PackField.Bitmap;
    for (let chunk = first; chunk < first + chunks; chunk++) {
      while (!clearBit(cpu, record.at.hi, bitmapLo, chunk)) yield;
    }
    yield* findNextBit(cpu, record.at.hi, bitmapLo, bytes / CHUNK_BYTES, 0);
    if (cpu.ret === bytes / CHUNK_BYTES) {
      yield this.#parts.vmalloc.free(cpu, start.hi, start.lo);
      while (!cpu.store64(record.at.hi, record.at.lo, 0, 0, Order.Relaxed)) yield;
    }
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.ret = 0;
  }

  *#recordOf(
    cpu: Cpu,
    packs: Address,
    bytes: number,
    at: Address,
  ): Generator<Program | undefined, { at: Address; start: Address }, undefined> {
    for (let pack = 0; pack < PACKS_MAX; pack++) {
      const record = addBytes(packs, pack * recordBytes(bytes));
      while (!cpu.load64(record.hi, record.lo + PackField.Start, Order.Relaxed)) yield;
      const start = { hi: cpu.hi, lo: cpu.lo };
      if ((start.hi | start.lo) === 0) continue;
      const offset = offsetFrom(start, at);
      if (offset >= 0 && offset < bytes) return { at: record, start };
    }
    assert(false, 'a program is freed that is in no pack');
  }
}

/** Packs are in the modules range, where addresses differ in their low halves and one bit more. */
function offsetFrom(start: Address, at: Address): number {
  return (at.hi - start.hi) * 0x1_0000_0000 + ((at.lo >>> 0) - (start.lo >>> 0));
}

/** bitmap_find_next_zero_area: ret = the first of `count` clear bits in a row, or -1. */
function* findArea(cpu: Cpu, record: Address, bits: number, count: number): Program {
  const lo = record.lo + PackField.Bitmap;
  for (let from = 0; ; ) {
    yield* findNextZeroBit(cpu, record.hi, lo, bits, from);
    const first = cpu.ret;
    if (first + count > bits) {
      cpu.ret = -1;
      return;
    }
    yield* findNextBit(cpu, record.hi, lo, first + count, first);
    if (cpu.ret >= first + count) {
      cpu.ret = first;
      return;
    }
    from = cpu.ret + 1;
  }
}
