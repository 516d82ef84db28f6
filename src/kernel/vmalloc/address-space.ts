/**
 * Address space for vmalloc: alloc_vmap_area, find_vmap_area, unlink_va, merge_or_add_vmap_area
 * (mm/vmalloc.c, v6.13). The lowest free area with room is cut; a node of its own says what is in
 * use; freed space joins its neighbours.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { AreaField, AreaTree } from '../base/area-tree.ts';
import { ENOMEM } from '../base/errno.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { RANGE_SHIFT, type VmallocImage, type VmallocRange, VmapField } from './image.ts';

export class VmapSpace {
  readonly image: VmallocImage;
  readonly #lock: Lock;
  readonly #free: readonly AreaTree[];
  readonly #busy: AreaTree;

  constructor(image: VmallocImage, lock: Lock) {
    this.image = image;
    this.#lock = lock;
    this.#free = image.freeRoots.map((root) => new AreaTree(root, PAGE_SHIFT));
    this.#busy = new AreaTree(image.busyRoot, PAGE_SHIFT);
  }

  /**
   * ret = 0 and (hi, lo) = the node of an area of `pages`, its Start and Units written and its
   * Flags zero but for the range; not in the busy tree yet. ret = -ENOMEM: no room or no node.
   */
  *take(cpu: Cpu, range: VmallocRange, pages: number, alignShift: number): Program {
    const { freeLock } = this.image;
    yield* this.#lock.acquire(cpu, freeLock.hi, freeLock.lo);
    yield* this.#takeLocked(cpu, range, pages, alignShift);
    const { hi, lo, ret } = cpu;
    yield* this.#lock.release(cpu, freeLock.hi, freeLock.lo);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = ret;
  }

  *#takeLocked(cpu: Cpu, range: VmallocRange, pages: number, alignShift: number): Program {
    const tree = this.#free[range]!;
    yield* tree.lowestFit(cpu, pages, alignShift);
    if (cpu.ret < 0) {
      cpu.ret = -ENOMEM;
      return;
    }
    const free = { hi: cpu.hi, lo: cpu.lo };
    yield* readArea(cpu, free);
    const start = { hi: cpu.hi, lo: cpu.lo };
    const freePages = cpu.ret;
    const before = padding(start, alignShift);
    const after = freePages - before - pages;
    yield* this.#newNode(cpu);
    if (cpu.ret < 0) return;
    const area = { hi: cpu.hi, lo: cpu.lo };
    if (before > 0 && after > 0) {
      yield* this.#newNode(cpu);
      if (cpu.ret < 0) {
        yield* this.#giveNode(cpu, area);
        cpu.ret = -ENOMEM;
        return;
      }
      const rest = { hi: cpu.hi, lo: cpu.lo };
      yield* this.#shrink(cpu, tree, free, start, before);
      const restStart = addBytes(start, (before + pages) * PAGE_BYTES);
      yield* writeArea(cpu, rest, restStart, after);
      yield* tree.insert(cpu, rest.hi, rest.lo);
    } else if (before > 0) {
      yield* this.#shrink(cpu, tree, free, start, before);
    } else if (after > 0) {
      yield* this.#shrink(cpu, tree, free, addBytes(start, pages * PAGE_BYTES), after);
    } else {
      yield* tree.remove(cpu, free.hi, free.lo);
      yield* this.#giveNode(cpu, free);
    }
    yield* writeArea(cpu, area, addBytes(start, before * PAGE_BYTES), pages);
    const flags = range << RANGE_SHIFT;
    while (!cpu.store32(area.hi, area.lo + VmapField.Flags, flags, Order.Relaxed)) yield;
    cpu.hi = area.hi;
    cpu.lo = area.lo;
    cpu.ret = 0;
  }

  *#shrink(cpu: Cpu, tree: AreaTree, area: Address, start: Address, pages: number): Program {
    yield* writeArea(cpu, area, start, pages);
    yield* tree.resized(cpu, area.hi, area.lo);
  }

  /** Puts an area among those in use. */
  *publish(cpu: Cpu, area: Address): Program {
    const { busyLock } = this.image;
    yield* this.#lock.acquire(cpu, busyLock.hi, busyLock.lo);
    yield* this.#busy.insert(cpu, area.hi, area.lo);
    yield* this.#lock.release(cpu, busyLock.hi, busyLock.lo);
  }

  /**
   * find_vmap_area, or find_unlink_vmap_area: the area in use that starts at the address. ret = 0
   * and (hi, lo) = its node, or ret = -1.
   */
  *find(cpu: Cpu, hi: number, lo: number, unlink: boolean): Program {
    const { busyLock } = this.image;
    yield* this.#lock.acquire(cpu, busyLock.hi, busyLock.lo);
    yield* this.#busy.atOrBelow(cpu, hi, lo);
    const found = cpu.ret === 0;
    const area = { hi: cpu.hi, lo: cpu.lo };
    let contains = false;
    if (found) {
      yield* readArea(cpu, area);
      contains = !unlink || (cpu.hi === hi && cpu.lo === (lo | 0));
      if (contains && unlink) yield* this.#busy.remove(cpu, area.hi, area.lo);
    }
    yield* this.#lock.release(cpu, busyLock.hi, busyLock.lo);
    cpu.hi = area.hi;
    cpu.lo = area.lo;
    cpu.ret = contains ? 0 : -1;
  }

  /** The space of an area whose translations are gone from every TLB is free again. */
  *giveBack(cpu: Cpu, area: Address): Program {
    const { freeLock } = this.image;
    while (!cpu.load32(area.hi, area.lo + VmapField.Flags, Order.Relaxed)) yield;
    const tree = this.#free[cpu.lo >>> RANGE_SHIFT]!;
    yield* this.#lock.acquire(cpu, freeLock.hi, freeLock.lo);
    yield* this.#merge(cpu, tree, area);
    yield* this.#lock.release(cpu, freeLock.hi, freeLock.lo);
  }

  *#merge(cpu: Cpu, tree: AreaTree, area: Address): Program {
    yield* readArea(cpu, area);
    let start = { hi: cpu.hi, lo: cpu.lo };
    let pages = cpu.ret;
    const end = addBytes(start, pages * PAGE_BYTES);
    yield* tree.atOrBelow(cpu, end.hi, end.lo);
    const next = { hi: cpu.hi, lo: cpu.lo };
    if (cpu.ret === 0) {
      yield* readArea(cpu, next);
      if (cpu.hi === end.hi && cpu.lo === end.lo) {
        pages += cpu.ret;
        yield* tree.remove(cpu, next.hi, next.lo);
        yield* this.#giveNode(cpu, next);
      }
    }
    yield* tree.atOrBelow(cpu, start.hi, start.lo);
    const previous = { hi: cpu.hi, lo: cpu.lo };
    if (cpu.ret === 0) {
      yield* readArea(cpu, previous);
      const previousStart = { hi: cpu.hi, lo: cpu.lo };
      const previousEnd = addBytes(previousStart, cpu.ret * PAGE_BYTES);
      if (previousEnd.hi === start.hi && previousEnd.lo === start.lo) {
        pages += cpu.ret;
        start = previousStart;
        yield* tree.remove(cpu, previous.hi, previous.lo);
        yield* this.#giveNode(cpu, previous);
      }
    }
    yield* writeArea(cpu, area, start, pages);
    yield* tree.insert(cpu, area.hi, area.lo);
  }

  *#newNode(cpu: Cpu): Program {
    const { poolHead } = this.image;
    while (!cpu.load64(poolHead.hi, poolHead.lo, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    cpu.ret = (hi | lo) === 0 ? -ENOMEM : 0;
    if (cpu.ret < 0) return;
    while (!cpu.load64(hi, lo + VmapField.Next, Order.Relaxed)) yield;
    const nextHi = cpu.hi;
    const nextLo = cpu.lo;
    while (!cpu.store64(poolHead.hi, poolHead.lo, nextHi, nextLo, Order.Relaxed)) yield;
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = 0;
  }

  *#giveNode(cpu: Cpu, { hi, lo }: Address): Program {
    const { poolHead } = this.image;
    while (!cpu.load64(poolHead.hi, poolHead.lo, Order.Relaxed)) yield;
    const headHi = cpu.hi;
    const headLo = cpu.lo;
    while (!cpu.store64(hi, lo + VmapField.Next, headHi, headLo, Order.Relaxed)) yield;
    while (!cpu.store64(poolHead.hi, poolHead.lo, hi, lo, Order.Relaxed)) yield;
  }
}

/** (hi, lo) = Start, ret = Units. */
export function* readArea(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo + AreaField.Units, Order.Relaxed)) yield;
  const units = cpu.lo;
  while (!cpu.load64(hi, lo + AreaField.Start, Order.Relaxed)) yield;
  cpu.ret = units;
}

function* writeArea(cpu: Cpu, { hi, lo }: Address, start: Address, pages: number): Program {
  assert(pages > 0, 'an area without pages');
  while (!cpu.store64(hi, lo + AreaField.Start, start.hi, start.lo, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + AreaField.Units, pages, Order.Relaxed)) yield;
}

/** Pages from the address to the next multiple of 2^alignShift. */
/** Pages up to the next multiple of 2^alignShift; the kernel half begins at one of any. */
function padding({ hi, lo }: Address, alignShift: number): number {
  const alignment = 2 ** alignShift;
  const rest = ((hi & 0xffff) * 0x1_0000_0000 + (lo >>> 0)) % alignment;
  return rest === 0 ? 0 : (alignment - rest) / PAGE_BYTES;
}
