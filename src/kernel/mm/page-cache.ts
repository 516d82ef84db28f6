/**
 * A file on tmpfs as page faults see it (Linux mm/filemap.c: filemap_get_entry, folio_lock,
 * folio_unlock; mm/shmem.c: shmem_get_folio_gfp). A page stays in the cache once it is
 * there; each mapping of it and each fault under way holds a reference.
 *
 * Deviations: a direct array of page addresses instead of an xarray; mapping counts are part of the
 * reference count; nothing is written back or reclaimed.
 *
 * Layout: i_pages lock, alone on its line, then 8 bytes per page: physical address | 1, 0 = hole.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { ENOMEM } from '../base/errno.ts';
import { zeroPages } from '../base/page-operations.ts';
import { rcuReadLock, rcuReadUnlock } from '../base/rcu.ts';
import { PAGE_BYTES, PageField, PageFlag } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { allocateUserPage } from './numa-policy.ts';

/** Plain data; a linear-map address. */
export interface FileImage {
  readonly hi: number;
  readonly lo: number;
  readonly pages: number;
}

const ENTRIES = 64;
const PRESENT = 1;

export function fileBytes(bytes: number): number {
  return ENTRIES + (bytes / PAGE_BYTES) * 8;
}

/** An empty file: all holes. */
export function bootFile(boot: BootMemory, name: string, node: number, bytes: number): FileImage {
  const physical = boot.allocate(node, fileBytes(bytes));
  boot.name(`${name}->i_pages lock`, physical, 8);
  boot.name(`${name}->i_pages`, { hi: physical.hi, lo: physical.lo + ENTRIES }, fileBytes(bytes));
  const { hi, lo } = toLinear(physical);
  return { hi, lo, pages: bytes / PAGE_BYTES };
}

/** Pages of the file that are in the cache, read from memory after a run. */
export function cachedPages(file: FileImage, peek: (hi: number, lo: number) => number): number {
  let cached = 0;
  for (let index = 0; index < file.pages; index++) {
    if (peek(file.hi & 0xffff, file.lo + ENTRIES + index * 8) !== 0) cached++;
  }
  return cached;
}

/**
 * shmem_fault: ret = 0 and (hi, lo) = the physical address of page `index` of a file (linear-map
 * address), referenced and locked; or ret = -ENOMEM.
 */
export function* faultInFilePage(
  cpu: Cpu,
  space: AddressSpace,
  fileHi: number,
  fileLo: number,
  index: number,
): Program {
  const entryLo = (fileLo + ENTRIES + index * 8) | 0;
  yield* rcuReadLock(cpu);
  while (!cpu.load64(fileHi, entryLo, Order.Acquire)) yield;
  let { hi, lo } = cpu;
  if (lo !== 0) yield* getPage(cpu, space, hi, lo & ~PRESENT);
  yield* rcuReadUnlock(cpu);
  if (lo === 0) {
    yield* insertPage(cpu, space, fileHi, fileLo, index);
    if (cpu.ret < 0) return;
    ({ hi, lo } = cpu);
  }
  lo &= ~PRESENT;
  yield* lockPage(cpu, space, hi, lo);
  cpu.hi = hi;
  cpu.lo = lo;
  cpu.ret = 0;
}

/** shmem_alloc_and_add_folio: fills a hole, unless somebody else is faster. */
function* insertPage(
  cpu: Cpu,
  space: AddressSpace,
  fileHi: number,
  fileLo: number,
  index: number,
): Program {
  const entryLo = (fileLo + ENTRIES + index * 8) | 0;
  yield* allocateUserPage(cpu, space.pages, space.policy, 0, index);
  if (cpu.ret === -ENOMEM) return;
  const { hi, lo } = cpu;
  yield* zeroPages(cpu, hi | LINEAR_MAP_HI, lo, PAGE_BYTES);
  yield space.pageTableLock.acquire(cpu, fileHi, fileLo);
  while (!cpu.load64(fileHi, entryLo, Order.Relaxed)) yield;
  const { hi: presentHi, lo: presentLo } = cpu;
  if (presentLo === 0) {
    while (!cpu.store64(fileHi, entryLo, hi, lo | PRESENT, Order.Release)) yield;
  }
  yield space.pageTableLock.release(cpu, fileHi, fileLo);
  const isOurs = presentLo === 0;
  if (!isOurs) yield space.pages.free(cpu, hi, lo, 0);
  yield* getPage(cpu, space, isOurs ? hi : presentHi, isOurs ? lo : presentLo & ~PRESENT);
  cpu.hi = isOurs ? hi : presentHi;
  cpu.lo = isOurs ? lo : presentLo & ~PRESENT;
  cpu.ret = 0;
}

/** folio_get. */
function* getPage(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const count = space.pages.structPageLo(hi, lo) + PageField.RefCount;
  while (!cpu.add32(structHi, count, 1, Order.Relaxed)) yield;
  if (cpu.lo <= 0) assert(false, `cpu ${cpu.id} takes a reference to a page that nobody holds`);
}

/** folio_put of a page that the cache holds too. */
export function* putPage(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const count = space.pages.structPageLo(hi, lo) + PageField.RefCount;
  while (!cpu.add32(structHi, count, -1, Order.Release)) yield;
  if (cpu.lo <= 1) assert(false, `cpu ${cpu.id} drops the page cache's own reference`);
}

/** folio_lock. */
function* lockPage(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const flags = space.pages.structPageLo(hi, lo);
  const { Locked } = PageFlag;
  for (;;) {
    while (!cpu.set32(structHi, flags, Locked, Order.Acquire)) yield;
    if ((cpu.lo & Locked) === 0) return;
    while (!cpu.cond32(structHi, flags, Condition.AnyBitClear, Locked, 0, Order.Relaxed)) yield;
  }
}

/** folio_unlock. */
export function* unlockPage(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const flags = space.pages.structPageLo(hi, lo);
  while (!cpu.clear32(structHi, flags, PageFlag.Locked, Order.Release)) yield;
  const locked = (cpu.lo & PageFlag.Locked) !== 0;
  if (!locked) assert(false, `cpu ${cpu.id} unlocks a page that is not locked`);
}

/** folio_mark_dirty on tmpfs (noop_dirty_folio): writes the flags only the first time. */
export function* dirtyPage(cpu: Cpu, space: AddressSpace, hi: number, lo: number): Program {
  const structHi = space.pages.structPageHi(hi);
  const flags = space.pages.structPageLo(hi, lo);
  while (!cpu.load32(structHi, flags, Order.Relaxed)) yield;
  if ((cpu.lo & PageFlag.Dirty) !== 0) return;
  while (!cpu.set32(structHi, flags, PageFlag.Dirty, Order.Relaxed)) yield;
}
