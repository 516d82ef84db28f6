/**
 * The VMM's page table for the memory behind one memslot, as GUP and the page-fault handler see it:
 * an upper table with one entry per 2 MiB (per unit, for larger pages) and lower tables of pages,
 * made on first touch, with split locks (one per lower table, one per 1 GiB of upper entries;
 * Linux mm/memory.c, USE_SPLIT_PTE_PTLOCKS, USE_SPLIT_PMD_PTLOCKS).
 *
 * Entry (64 bits): physical address [47:12] and the flags below. Deviations: two levels, indexed
 * from the start of the slot; a contiguous hugetlb page (64 KiB, 32 MiB) has one entry instead of
 * 16; the VMM's own accesses don't go through this table, so it needs no TLB maintenance.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { PAGE_BYTES, PageField, STRUCT_PAGE_BYTES } from '../base/struct-page.ts';
import { addressOf, alignDown, powerOfTwo } from './address.ts';
import type { Backing } from './backing.ts';
import type { HugePool } from './huge-pool.ts';
import { type BootTables, structPageLo } from './struct-page-of.ts';
import type { Vm } from './vm.ts';

export const HostEntry = {
  Present: 1,
  Table: 2,
  Write: 4,
  /** The shared page of zeroes: read-only, not counted. */
  Zero: 8,
  /** PROT_NONE for NUMA hinting: the frame is there, Present is clear. */
  ProtNone: 16,
  /** Migration entry: whoever meets it waits for the bit to go. */
  Migration: 32,
  /** The file has the page, the mapping doesn't yet (Present is clear): a minor fault. */
  Cached: 64,
} as const;
export const HOST_ENTRY_FLAGS = PAGE_BYTES - 1;

export const PMD_SHIFT = 21;
const PUD_BYTES = 2 ** 30;
const ENTRIES_PER_TABLE = 512;
/** Linux: 8 per possible CPU, hashed by file and page. */
export const HUGETLB_FAULT_MUTEXES = 256;

/** mempolicy of the VMA. */
export interface HostPolicy {
  readonly kind: 'first-touch' | 'interleave' | 'bind';
  readonly node: number;
  /** Nodes that have memory, for interleave. */
  readonly nodes: readonly number[];
}

/** Plain data; linear-map addresses with one high half. */
export interface HostTable {
  readonly backing: Backing;
  /** log2 of what one upper entry covers. */
  readonly regionShift: number;
  readonly hi: number;
  readonly upper: number;
  /** One spinlock per line and 1 GiB of upper entries. */
  readonly upperLocks: number;
  /** i_pages.xa_lock of the file (shmem). */
  readonly fileLock: number;
  /** hugetlb_fault_mutex_table: HUGETLB_FAULT_MUTEXES locks, a line each (hugetlb). */
  readonly faultMutexes: number;
  /** Lower tables that boot code wrote. */
  readonly bootTables: BootTables;
  readonly pool: HugePool | null;
  readonly policy: HostPolicy;
  /** Frames of zeroes: one page and one 2 MiB block; physical addresses. */
  readonly zeroPage: Address;
  readonly zeroBlock: Address;
}

/** An entry as one CPU read it. Private to that CPU. */
export interface HostEntryRead {
  /** Linear-map address of the entry. */
  entryHi: number;
  entryLo: number;
  hi: number;
  lo: number;
  /** log2 of what the entry covers. */
  shift: number;
  /** The lock that protects changes of the entry. */
  lockHi: number;
  lockLo: number;
}

export function newHostEntryRead(): HostEntryRead {
  return { entryHi: 0, entryLo: 0, hi: 0, lo: 0, shift: 0, lockHi: 0, lockLo: 0 };
}

/** Frames that stand for zeroes, shared by all tables of a run. */
export interface ZeroFrames {
  readonly zeroPage: Address;
  readonly zeroBlock: Address;
}

export interface HostTableRequest {
  readonly name: string;
  readonly node: number;
  readonly bytes: number;
  readonly backing: Backing;
  readonly policy: HostPolicy;
  readonly zero: ZeroFrames;
  readonly pool: HugePool | null;
  /** Frames that are there from the start (memory that the VMM has written); null = none. */
  readonly frames: Address | null;
  /** The file has them and the mapping doesn't (userfaultfd minor faults). */
  readonly framesCached: boolean;
}

export function bootHostTable(boot: BootMemory, request: HostTableRequest): HostTable {
  const { name, node, bytes, backing } = request;
  const regionShift = Math.max(PMD_SHIFT, backing.unitShift);
  const regions = Math.ceil(bytes / 2 ** regionShift);
  const upper = boot.allocateNamed(`${name}: pmd`, node, regions * 8, 64);
  const gibibytes = Math.ceil((regions * 2 ** regionShift) / PUD_BYTES);
  const locks = boot.allocateNamed(`${name}: pmd->ptl`, node, gibibytes * 64);
  const fileLock = boot.allocateNamed(`${name}: i_pages.xa_lock`, node, 64);
  const mutexBytes = backing.kind === 'hugetlb' ? HUGETLB_FAULT_MUTEXES * 64 : 64;
  const mutexes = boot.allocateNamed(`${name}: hugetlb_fault_mutex_table`, node, mutexBytes);
  const { hi } = toLinear(upper);
  const bootTables = bootFrames(boot, request, upper);
  return {
    backing,
    regionShift,
    hi,
    upper: upper.lo,
    upperLocks: locks.lo,
    fileLock: fileLock.lo,
    faultMutexes: mutexes.lo,
    bootTables,
    pool: request.pool,
    policy: request.policy,
    ...request.zero,
  };
}

/** Lower tables for frames that are there from the start. */
function bootFrames(boot: BootMemory, request: HostTableRequest, upper: Address): BootTables {
  const { frames, framesCached, node, bytes, backing } = request;
  if (frames === null) return { hi: 0, lo: 0, pages: 0, structLo: 0 };
  assert(backing.unitShift === 12, 'frames from the start are single pages');
  const count = Math.ceil(bytes / 2 ** PMD_SHIFT);
  const tables = boot.allocate(node, count * PAGE_BYTES, PAGE_BYTES);
  const structs = boot.allocate(node, count * STRUCT_PAGE_BYTES);
  const flags = framesCached ? HostEntry.Cached : HostEntry.Present | HostEntry.Write;
  for (let page = 0; page < bytes / PAGE_BYTES; page++) {
    const frame = addBytes(frames, page * PAGE_BYTES);
    boot.write64(tables, page * 8, frame.hi, frame.lo | flags);
  }
  for (let table = 0; table < count; table++) {
    const at = addBytes(tables, table * PAGE_BYTES);
    boot.write64(upper, table * 8, at.hi, at.lo | HostEntry.Table);
  }
  const { hi, lo } = toLinear(tables);
  return { hi, lo, pages: count, structLo: structs.lo };
}

/** Reads the upper entry for an offset in the slot. */
export function readUpper(cpu: Cpu, host: HostTable, offset: number, out: HostEntryRead): boolean {
  const region = Math.floor(offset / powerOfTwo(host.regionShift));
  out.entryHi = host.hi;
  out.entryLo = (host.upper + region * 8) | 0;
  out.shift = host.regionShift;
  out.lockHi = host.hi;
  out.lockLo = (host.upperLocks + Math.floor(offset / PUD_BYTES) * 64) | 0;
  if (!cpu.load64(out.entryHi, out.entryLo, Order.Acquire)) return false;
  out.hi = cpu.hi;
  out.lo = cpu.lo;
  return true;
}

/** From an upper entry that is a table to the lower entry. */
export function readLower(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  out: HostEntryRead,
): boolean {
  const tableHi = out.hi | LINEAR_MAP_HI;
  const tableLo = out.lo & ~HOST_ENTRY_FLAGS;
  const shift = host.backing.unitShift === 16 ? 16 : 12;
  const index = Math.floor(offset / powerOfTwo(shift)) % powerOfTwo(PMD_SHIFT - shift);
  assert(index < ENTRIES_PER_TABLE, 'a lower table has 512 entries');
  out.entryHi = tableHi;
  out.entryLo = (tableLo + index * 8) | 0;
  out.shift = shift;
  out.lockHi = tableHi;
  out.lockLo = structPageLo(vm, host.bootTables, tableHi, tableLo) + PageField.Lock;
  if (!cpu.load64(out.entryHi, out.entryLo, Order.Acquire)) return false;
  out.hi = cpu.hi;
  out.lo = cpu.lo;
  return true;
}

/** Reads the entry that an offset resolves to; an upper one if there is no lower table. */
export function* readEntry(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  out: HostEntryRead,
): Program {
  while (!readUpper(cpu, host, offset, out)) yield;
  if ((out.lo & HostEntry.Table) !== 0) while (!readLower(cpu, vm, host, offset, out)) yield;
}

/** Reads an entry again, under its lock; cpu.ok = it is unchanged. */
export function isUnchanged(cpu: Cpu, entry: HostEntryRead): boolean {
  if (!cpu.load64(entry.entryHi, entry.entryLo, Order.Relaxed)) return false;
  cpu.ok = cpu.hi === entry.hi && cpu.lo === entry.lo;
  return true;
}

/** set_pte: the entry now holds (hi, lo). */
export function storeEntry(cpu: Cpu, entry: HostEntryRead, hi: number, lo: number): boolean {
  if (!cpu.store64(entry.entryHi, entry.entryLo, hi, lo, Order.Release)) return false;
  entry.hi = hi;
  entry.lo = lo;
  return true;
}

/** Physical address of the frame behind an offset. */
export function frameOf(entry: HostEntryRead, offset: number): number {
  const unit = powerOfTwo(entry.shift);
  const inside = offset - alignDown(offset, unit);
  return addressOf(entry.hi, entry.lo & ~HOST_ENTRY_FLAGS) + alignDown(inside, PAGE_BYTES);
}
