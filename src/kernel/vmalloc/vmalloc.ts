/**
 * vmalloc and vfree (mm/vmalloc.c, v6.13: __vmalloc_node_range, vm_area_alloc_pages,
 * vmap_pages_range, vfree, free_vmap_area_noflush, __purge_vmap_area_lazy).
 *
 * Freed addresses may stay in TLBs: they are reused only after a purge has flushed them, and a
 * purge comes when lazily freed pages exceed lazy_max_pages. It is done by who passes the limit;
 * Linux leaves it to a work item.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Fence, Order } from '../../cpu/operations.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import {
  isTable,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
} from '../../translation/descriptors.ts';
import { AreaField } from '../base/area-tree.ts';
import { ENOMEM } from '../base/errno.ts';
import type { PageAllocator } from '../base/page-allocator.ts';
import { HUGE_ORDER } from '../base/page-lists.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import type { FlushKernelRange } from '../kernel-table/flush.ts';
import {
  type KernelTable,
  KernelWalk,
  PMD_LEVEL,
  PTE_LEVEL,
} from '../kernel-table/kernel-table.ts';
import { readArea, VmapSpace } from './address-space.ts';
import { type VmallocImage, type VmallocRange, VmapField, VmapFlag } from './image.ts';

const PMD_BYTES = 2 ** 21;
const PMD_SHIFT = 21;
const PAGES_PER_PMD = PMD_BYTES / PAGE_BYTES;
/** Frame addresses in one page of the array. */
const FRAMES_PER_PAGE = PAGE_BYTES / 8;
const TWO_32 = 0x1_0000_0000;
/** High bits of every kernel address. */
const KERNEL_HALF = 0xffff0000 | 0;

export interface VmallocRequest {
  readonly range: VmallocRange;
  /** A multiple of the page size. */
  readonly bytes: number;
  readonly alignShift: number;
  /** Node of the frames. */
  readonly node: number;
  /** Leaf attributes (stage1-descriptors.ts). */
  readonly attributesHi: number;
  readonly attributesLo: number;
  /** VM_ALLOW_HUGE_VMAP: blocks of 2 MiB where the size allows and the buddy has them. */
  readonly huge?: boolean;
  /** A page without a mapping behind the area; VM_NO_GUARD leaves it out. */
  readonly guard?: boolean;
  /** VM_FLUSH_RESET_PERMS: free resets the linear alias first. */
  readonly resetPermissions?: boolean;
  /**
   * Where single frames come from instead of the page allocator: as its allocate. Such an area is
   * never freed.
   */
  takeFrame?(cpu: Cpu): Program;
}

export interface VmallocParts {
  readonly image: VmallocImage;
  readonly pages: PageAllocator;
  readonly table: KernelTable;
  readonly flushKernelRange: FlushKernelRange;
  readonly lock: Lock;
  /** vm_reset_perms (set-memory.ts, resetAliases): frames as physical addresses, 2^order pages. */
  resetPermissions?(cpu: Cpu, frames: readonly Address[], order: number): Program;
}

export class Vmalloc {
  readonly space: VmapSpace;
  readonly #parts: VmallocParts;

  constructor(parts: VmallocParts) {
    this.#parts = parts;
    this.space = new VmapSpace(parts.image, parts.lock);
  }

  /** ret = 0 and (hi, lo) = the first address, or ret = -ENOMEM with nothing left behind. */
  *allocate(cpu: Cpu, request: VmallocRequest): Program {
    cpu.begin(Metric.VmallocAlloc);
    const huge = request.huge === true && request.bytes >= PMD_BYTES;
    if (huge) yield* this.#allocate(cpu, request, true);
    if (!huge || cpu.ret < 0) {
      if (huge) cpu.count(Counter.ExecmemSmallPages, 1);
      yield* this.#allocate(cpu, request, false);
    }
    cpu.end(Metric.VmallocAlloc);
  }

  *#allocate(cpu: Cpu, request: VmallocRequest, huge: boolean): Program {
    const bytes = huge ? Math.ceil(request.bytes / PMD_BYTES) * PMD_BYTES : request.bytes;
    const pages = bytes / PAGE_BYTES;
    const shift = huge ? Math.max(PMD_SHIFT, request.alignShift) : request.alignShift;
    const guard = request.guard === false ? 0 : 1;
    yield* this.space.take(cpu, request.range, pages + guard, Math.max(PAGE_SHIFT, shift));
    if (cpu.ret < 0) return;
    const area = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.load64(area.hi, area.lo + AreaField.Start, Order.Relaxed)) yield;
    const start = { hi: cpu.hi, lo: cpu.lo };
    const frames = huge ? pages / PAGES_PER_PMD : pages;
    yield* this.#describe(cpu, area, frames, request, huge);
    if (cpu.ret === 0) yield* this.#takeFrames(cpu, area, frames, request, huge);
    if (cpu.ret === 0) yield* this.#map(cpu, area, start, frames, request, huge);
    if (cpu.ret < 0) {
      yield* this.#undo(cpu, area);
      cpu.ret = -ENOMEM;
      return;
    }
    yield* this.space.publish(cpu, area);
    cpu.hi = start.hi;
    cpu.lo = start.lo;
    cpu.ret = 0;
  }

  /** A half-made area: what of it was mapped nobody has used, but a walker may have seen it. */
  *#undo(cpu: Cpu, area: Address): Program {
    const { table, flushKernelRange } = this.#parts;
    yield* mappedBytes(cpu, area);
    const pages = cpu.ret;
    const start = { hi: cpu.hi, lo: cpu.lo };
    for (let page = 0; page < pages; page++) {
      const at = addBytes(start, page * PAGE_BYTES);
      yield* table.walk(cpu, at.hi, at.lo, PTE_LEVEL, false);
      if (cpu.ret === KernelWalk.Block) yield* table.walk(cpu, at.hi, at.lo, PMD_LEVEL, false);
      if (cpu.ret !== KernelWalk.Found) continue;
      yield* clearEntry(cpu, cpu.hi, cpu.lo);
    }
    if (pages > 0) yield* flushKernelRange(cpu, start.hi, start.lo, pages);
    yield* this.#giveFrames(cpu, yield* framesOf(cpu, area));
    yield* this.space.giveBack(cpu, area);
  }

  /** area->pages: an array of its own, big enough for every frame. */
  *#describe(
    cpu: Cpu,
    area: Address,
    frames: number,
    request: VmallocRequest,
    huge: boolean,
  ): Program {
    const flags =
      (request.resetPermissions === true ? VmapFlag.ResetPermissions : 0) |
      (huge ? VmapFlag.Huge : 0);
    while (!cpu.set32(area.hi, area.lo + VmapField.Flags, flags, Order.Relaxed)) yield;
    while (!cpu.store32(area.hi, area.lo + VmapField.Count, 0, Order.Relaxed)) yield;
    yield* this.#parts.pages.allocate(cpu, cpu.node, arrayOrder(frames), MigrateType.Unmovable);
    const array = cpu.ret < 0 ? { hi: 0, lo: 0 } : { hi: cpu.hi | LINEAR_MAP_HI, lo: cpu.lo };
    const ret = cpu.ret;
    while (!cpu.store64(area.hi, area.lo + VmapField.Pages, array.hi, array.lo, Order.Relaxed)) {
      yield;
    }
    cpu.ret = ret;
  }

  /** vm_area_alloc_pages. Count says how many there are, also when memory runs out half-way. */
  *#takeFrames(
    cpu: Cpu,
    area: Address,
    frames: number,
    request: VmallocRequest,
    huge: boolean,
  ): Program {
    while (!cpu.load64(area.hi, area.lo + VmapField.Pages, Order.Relaxed)) yield;
    const array = { hi: cpu.hi, lo: cpu.lo };
    const order = huge ? HUGE_ORDER : 0;
    let taken = 0;
    for (; taken < frames; taken++) {
      if (request.takeFrame !== undefined) yield* request.takeFrame(cpu);
      else yield* this.#parts.pages.allocate(cpu, request.node, order, MigrateType.Unmovable);
      if (cpu.ret < 0) break;
      const { hi, lo } = cpu;
      while (!cpu.store64(array.hi, (array.lo + taken * 8) | 0, hi, lo, Order.Relaxed)) yield;
    }
    while (!cpu.store32(area.hi, area.lo + VmapField.Count, taken, Order.Relaxed)) yield;
    cpu.ret = taken === frames ? 0 : -ENOMEM;
  }

  *#map(
    cpu: Cpu,
    area: Address,
    start: Address,
    frames: number,
    request: VmallocRequest,
    huge: boolean,
  ): Program {
    const { table } = this.#parts;
    while (!cpu.load64(area.hi, area.lo + VmapField.Pages, Order.Relaxed)) yield;
    const array = { hi: cpu.hi, lo: cpu.lo };
    const level = huge ? PMD_LEVEL : PTE_LEVEL;
    const size = huge ? PMD_BYTES : PAGE_BYTES;
    for (let frame = 0; frame < frames; frame++) {
      const at = addBytes(start, frame * size);
      while (!cpu.load64(array.hi, (array.lo + frame * 8) | 0, Order.Relaxed)) yield;
      const leafHi = leafDescriptorHi(cpu.hi, request.attributesHi);
      const leafLo = leafDescriptorLo(cpu.lo, request.attributesLo, level);
      yield* table.walk(cpu, at.hi, at.lo, level, true);
      if (cpu.ret < 0) return;
      assert(cpu.ret === KernelWalk.Found, 'free addresses of vmalloc are under a block');
      const entry = { hi: cpu.hi, lo: cpu.lo };
      if (huge) yield* this.#dropTable(cpu, entry, at);
      while (!cpu.store64(entry.hi, entry.lo, leafHi, leafLo, Order.Release)) yield;
    }
    while (!cpu.fence(Fence.DsbIshSt)) yield;
    while (!cpu.fence(Fence.Isb)) yield;
    cpu.ret = 0;
  }

  /**
   * vfree of an area's first address. Where permissions were changed (VM_FLUSH_RESET_PERMS) the
   * frames go back only when no CPU translates to them any more.
   */
  *free(cpu: Cpu, hi: number, lo: number): Program {
    cpu.begin(Metric.VmallocFree);
    yield* this.space.find(cpu, hi, lo, true);
    assert(cpu.ret === 0, 'vfree of what is no area');
    const area = { hi: cpu.hi, lo: cpu.lo };
    yield* this.#unmap(cpu, area);
    const held = yield* framesOf(cpu, area);
    yield* this.#freeLazily(cpu, area);
    const tooMany = cpu.ret > this.#parts.image.lazyPagesMax;
    if (held.resetPermissions) {
      const reset = this.#parts.resetPermissions;
      assert(reset !== undefined, 'an area with changed permissions and nobody to reset them');
      yield* reset(cpu, held.frames, held.order);
    }
    yield* this.#giveFrames(cpu, held);
    cpu.end(Metric.VmallocFree);
    if (tooMany && !held.resetPermissions) yield* this.purge(cpu);
  }

  /** vunmap_range_noflush: entries out, blocks and pages as they are by now. */
  *#unmap(cpu: Cpu, area: Address): Program {
    const { table } = this.#parts;
    yield* mappedBytes(cpu, area);
    const bytes = cpu.ret * PAGE_BYTES;
    const start = { hi: cpu.hi, lo: cpu.lo };
    for (let done = 0; done < bytes; ) {
      const at = addBytes(start, done);
      yield* table.walk(cpu, at.hi, at.lo, PTE_LEVEL, false);
      const isBlock = cpu.ret === KernelWalk.Block;
      if (isBlock) yield* table.walk(cpu, at.hi, at.lo, PMD_LEVEL, false);
      assert(cpu.ret === KernelWalk.Found, 'vfree of pages that are not mapped');
      yield* clearEntry(cpu, cpu.hi, cpu.lo);
      done += isBlock ? PMD_BYTES : PAGE_BYTES;
    }
  }

  *#giveFrames(cpu: Cpu, { frames, order, array }: HeldFrames): Program {
    const { pages } = this.#parts;
    if ((array.hi | array.lo) === 0) return;
    for (const { hi, lo } of frames) yield* pages.free(cpu, hi, lo, order);
    yield* pages.free(cpu, array.hi & 0xffff, array.lo, arrayOrder(frames.length));
  }

  /** free_vmap_area_noflush: ret = lazily freed pages by now. */
  *#freeLazily(cpu: Cpu, area: Address): Program {
    const { lazyLock, lazyHead, lazyPages } = this.#parts.image;
    while (!cpu.load32(area.hi, area.lo + AreaField.Units, Order.Relaxed)) yield;
    const units = cpu.lo;
    yield* this.#parts.lock.acquire(cpu, lazyLock.hi, lazyLock.lo);
    while (!cpu.load64(lazyHead.hi, lazyHead.lo, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    while (!cpu.store64(area.hi, area.lo + VmapField.Next, hi, lo, Order.Relaxed)) yield;
    while (!cpu.store64(lazyHead.hi, lazyHead.lo, area.hi, area.lo, Order.Relaxed)) yield;
    yield* this.#parts.lock.release(cpu, lazyLock.hi, lazyLock.lo);
    while (!cpu.add32(lazyPages.hi, lazyPages.lo, units, Order.Relaxed)) yield;
    cpu.ret = cpu.lo + units;
  }

  /** __purge_vmap_area_lazy: one flush over all that was freed, then its addresses are free. */
  *purge(cpu: Cpu): Program {
    const { image, lock, flushKernelRange } = this.#parts;
    const { purgeLock, lazyLock, lazyHead, lazyPages } = image;
    cpu.begin(Metric.VmallocPurge);
    yield* lock.acquire(cpu, purgeLock.hi, purgeLock.lo);
    yield* lock.acquire(cpu, lazyLock.hi, lazyLock.lo);
    while (!cpu.swap64(lazyHead.hi, lazyHead.lo, 0, 0, Order.Relaxed)) yield;
    const first = { hi: cpu.hi, lo: cpu.lo };
    yield* lock.release(cpu, lazyLock.hi, lazyLock.lo);
    const range = yield* spanOf(cpu, first);
    if (range.areas > 0) {
      cpu.count(Counter.VmallocPurges, 1);
      yield* flushKernelRange(cpu, range.start.hi, range.start.lo, range.pages);
      let area = first;
      while ((area.hi | area.lo) !== 0) {
        while (!cpu.load64(area.hi, area.lo + VmapField.Next, Order.Relaxed)) yield;
        const next = { hi: cpu.hi, lo: cpu.lo };
        yield* this.space.giveBack(cpu, area);
        area = next;
      }
      while (!cpu.add32(lazyPages.hi, lazyPages.lo, -range.freed, Order.Relaxed)) yield;
    }
    yield* lock.release(cpu, purgeLock.hi, purgeLock.lo);
    cpu.end(Metric.VmallocPurge);
  }

  /**
   * vmap_try_huge_pmd: a table that an earlier user left is freed before a block takes its place.
   */
  *#dropTable(cpu: Cpu, entry: Address, at: Address): Program {
    while (!cpu.load64(entry.hi, entry.lo, Order.Relaxed)) yield;
    if (!isTable(cpu.lo, PMD_LEVEL)) return;
    const table = { hi: outputHi(cpu.hi, PAGE_SHIFT), lo: outputLo(cpu.lo, PAGE_SHIFT) };
    while (!cpu.store64(entry.hi, entry.lo, 0, 0, Order.Relaxed)) yield;
    yield* this.#parts.flushKernelRange(cpu, at.hi, at.lo, 1);
    cpu.event(EventKind.TablePageFreed, table.hi, table.lo);
    yield* this.#parts.pages.free(cpu, table.hi, table.lo, 0);
  }
}

/** Physical addresses of an area's frames, each of 2^order pages, and the array that holds them. */
interface HeldFrames {
  readonly frames: readonly Address[];
  readonly order: number;
  readonly array: Address;
  readonly resetPermissions: boolean;
}

function* framesOf(cpu: Cpu, area: Address): Generator<Program | undefined, HeldFrames, undefined> {
  while (!cpu.load32(area.hi, area.lo + VmapField.Flags, Order.Relaxed)) yield;
  const flags = cpu.lo;
  while (!cpu.load32(area.hi, area.lo + VmapField.Count, Order.Relaxed)) yield;
  const count = cpu.lo;
  while (!cpu.load64(area.hi, area.lo + VmapField.Pages, Order.Relaxed)) yield;
  const array = { hi: cpu.hi, lo: cpu.lo };
  const frames: Address[] = [];
  for (let frame = 0; frame < count; frame++) {
    while (!cpu.load64(array.hi, (array.lo + frame * 8) | 0, Order.Relaxed)) yield;
    frames.push({ hi: cpu.hi, lo: cpu.lo });
  }
  const order = (flags & VmapFlag.Huge) === 0 ? 0 : HUGE_ORDER;
  return { frames, order, array, resetPermissions: (flags & VmapFlag.ResetPermissions) !== 0 };
}

/** Where an area starts, in (hi, lo), and how many pages of it are mapped, in ret. */
function* mappedBytes(cpu: Cpu, area: Address): Program {
  while (!cpu.load32(area.hi, area.lo + VmapField.Flags, Order.Relaxed)) yield;
  const each = (cpu.lo & VmapFlag.Huge) === 0 ? 1 : PAGES_PER_PMD;
  while (!cpu.load32(area.hi, area.lo + VmapField.Count, Order.Relaxed)) yield;
  const pages = cpu.lo * each;
  while (!cpu.load64(area.hi, area.lo + AreaField.Start, Order.Relaxed)) yield;
  cpu.ret = pages;
}

interface Span {
  readonly areas: number;
  readonly start: Address;
  /** From the lowest to the highest address, and how many of these were freed. */
  readonly pages: number;
  readonly freed: number;
}

function* spanOf(cpu: Cpu, first: Address): Generator<Program | undefined, Span, undefined> {
  let areas = 0;
  let freed = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (let area = first; (area.hi | area.lo) !== 0; areas++) {
    yield* readArea(cpu, area);
    const start = (cpu.hi & 0xffff) * TWO_32 + (cpu.lo >>> 0);
    low = Math.min(low, start);
    high = Math.max(high, start + cpu.ret * PAGE_BYTES);
    freed += cpu.ret;
    while (!cpu.load64(area.hi, area.lo + VmapField.Next, Order.Relaxed)) yield;
    area = { hi: cpu.hi, lo: cpu.lo };
  }
  const start = { hi: Math.floor(low / TWO_32) | KERNEL_HALF, lo: low | 0 };
  return { areas, start, pages: areas === 0 ? 0 : (high - low) / PAGE_BYTES, freed };
}

function* clearEntry(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.store64(hi, lo, 0, 0, Order.Relaxed)) yield;
}

function arrayOrder(frames: number): number {
  const pages = Math.max(1, Math.ceil(frames / FRAMES_PER_PAGE));
  return 32 - Math.clz32(pages - 1);
}
