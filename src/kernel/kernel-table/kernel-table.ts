/**
 * The kernel's own page table, init_mm (mm/memory.c: __pud_alloc_kernel and so on; arm64
 * pgalloc.h), 4K pages and four levels: walking and growing it, setting leaves. Tables appear under
 * init_mm.page_table_lock and are never freed, as Linux keeps those of vmalloc; leaves belong to
 * whoever owns the addresses, so they change without a lock.
 *
 * A new entry of the root goes through a hook: with replicated text every node has a root of its
 * own.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import type { KernelMap } from '../../translation/boot-tables.ts';
import {
  isTable,
  isValid,
  outputHi,
  outputLo,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import { GRANULE_4K, tableIndex } from '../../translation/granule.ts';
import { ENOMEM } from '../base/errno.ts';
import type { PageAllocator } from '../base/page-allocator.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';

export const PMD_LEVEL = 2;
export const PTE_LEVEL = 3;

/** Results of walk in cpu.ret, beside -ENOMEM. */
export const KernelWalk = { Found: 0, NoTable: 1, Block: 2 } as const;

/** Plain data. */
export interface KernelTableImage {
  /** swapper_pg_dir, physical. */
  readonly root: Address;
  /** init_mm.page_table_lock, a linear-map address. */
  readonly lock: Address;
}

/**
 * Stores a descriptor into an entry of the root, given by its index, and into every other root that
 * must agree. Called with page_table_lock held.
 */
export type SetRootEntry = (cpu: Cpu, index: number, hi: number, lo: number) => Program;

export function bootKernelTable(
  boot: BootMemory,
  map: KernelMap,
  node: number,
  lock: Lock,
): KernelTableImage {
  const physical = boot.allocateNamed('init_mm.page_table_lock', node, 64);
  lock.init?.(boot, physical);
  return { root: map.table.root, lock: toLinear(physical) };
}

export class KernelTable {
  readonly image: KernelTableImage;
  readonly #pages: PageAllocator;
  readonly #lock: Lock;
  readonly #setRootEntry: SetRootEntry;

  constructor(
    image: KernelTableImage,
    pages: PageAllocator,
    lock: Lock,
    setRootEntry: SetRootEntry = (cpu, index, hi, lo) =>
      storeRootEntry(cpu, image.root, index, hi, lo),
  ) {
    this.image = image;
    this.#pages = pages;
    this.#lock = lock;
    this.#setRootEntry = setRootEntry;
  }

  /**
   * Finds the entry for an address in the table of a level. ret = Found and (hi, lo) = its
   * linear-map address; NoTable or Block where the walk ends above: lo = the level there, and for a
   * block hi is without meaning. `grow`: missing tables are allocated, -ENOMEM if there are none.
   */
  *walk(cpu: Cpu, hi: number, lo: number, level: number, grow: boolean): Program {
    let tableHi = this.image.root.hi | LINEAR_MAP_HI;
    let tableLo = this.image.root.lo;
    for (let current = 0; current < level; current++) {
      const index = tableIndex(GRANULE_4K, current, hi, lo);
      const entryLo = (tableLo + index * 8) | 0;
      while (!cpu.load64(tableHi, entryLo, Order.Acquire)) yield;
      if (!isValid(cpu.lo)) {
        if (!grow) return end(cpu, KernelWalk.NoTable, current);
        yield* this.#grow(cpu, tableHi, entryLo, current, index);
        if (cpu.ret < 0) return;
        while (!cpu.load64(tableHi, entryLo, Order.Acquire)) yield;
      }
      if (!isTable(cpu.lo, current)) return end(cpu, KernelWalk.Block, current);
      tableHi = outputHi(cpu.hi, PAGE_SHIFT) | LINEAR_MAP_HI;
      tableLo = outputLo(cpu.lo, PAGE_SHIFT);
    }
    cpu.hi = tableHi;
    cpu.lo = (tableLo + tableIndex(GRANULE_4K, level, hi, lo) * 8) | 0;
    cpu.ret = KernelWalk.Found;
  }

  *#grow(cpu: Cpu, tableHi: number, entryLo: number, level: number, index: number): Program {
    yield* this.#pages.allocate(cpu, cpu.node, 0, MigrateType.Unmovable);
    if (cpu.ret === -ENOMEM) return;
    const { hi, lo } = cpu;
    yield* zeroPages(cpu, hi | LINEAR_MAP_HI, lo, PAGE_BYTES);
    yield* this.#lock.acquire(cpu, this.image.lock.hi, this.image.lock.lo);
    while (!cpu.load64(tableHi, entryLo, Order.Relaxed)) yield;
    const isOurs = !isValid(cpu.lo);
    if (isOurs) {
      const newHi = tableDescriptorHi(hi);
      const newLo = tableDescriptorLo(lo);
      if (level === 0) yield* this.#setRootEntry(cpu, index, newHi, newLo);
      else while (!cpu.store64(tableHi, entryLo, newHi, newLo, Order.Release)) yield;
      cpu.event(EventKind.TablePageAllocated, hi, lo);
    }
    yield* this.#lock.release(cpu, this.image.lock.hi, this.image.lock.lo);
    if (!isOurs) yield* this.#pages.free(cpu, hi, lo, 0);
    cpu.ret = 0;
  }
}

export function* storeRootEntry(
  cpu: Cpu,
  root: Address,
  index: number,
  hi: number,
  lo: number,
): Program {
  const rootHi = root.hi | LINEAR_MAP_HI;
  while (!cpu.store64(rootHi, (root.lo + index * 8) | 0, hi, lo, Order.Release)) yield;
}

function end(cpu: Cpu, result: number, level: number): void {
  cpu.ret = result;
  cpu.lo = level;
}
