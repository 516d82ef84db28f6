/**
 * The page-fault handler of the host for guest memory (mm/memory.c: handle_mm_fault,
 * do_anonymous_page, do_huge_pmd_anonymous_page, do_wp_page, do_numa_page; mm/hugetlb.c:
 * hugetlb_no_page; mm/shmem.c: shmem_fault). Called with mmap_lock (or the VMA) held for reading.
 *
 * First touch decides the node of a frame, unless the VMA has a policy. A read of untouched
 * anonymous memory maps the page of zeroes; the write after it copies, which an MMU notifier hears
 * of.
 *
 * Deviations: no charge, no LRU, no reverse map; mutexes of hugetlb_fault_mutex_table spin;
 * do_numa_page never migrates.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { Metric } from '../../metrics/definition.ts';
import { EAGAIN, ENOMEM } from '../base/errno.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES, PageField } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import {
  HostEntry,
  type HostEntryRead,
  type HostTable,
  HUGETLB_FAULT_MUTEXES,
  isUnchanged,
  PMD_SHIFT,
  storeEntry,
} from './host-table.ts';
import { takeHugePage } from './huge-pool.ts';
import { unlockVma } from './mm-struct.ts';
import { invalidateEndNotify, invalidateStartNotify } from './notifier.ts';
import { userfaultFor, waitForUserfault } from './userfault.ts';
import type { SlotImage, Vm } from './vm.ts';

/** In cpu.ret: userfaultfd dropped the lock and slept; take it again and look again. */
export const FAULT_LOCK_DROPPED = 1;

const WRITABLE = HostEntry.Present | HostEntry.Write;
const READ_ZERO = HostEntry.Present | HostEntry.Zero;

/** cpu.ret: 0 = look again, FAULT_LOCK_DROPPED, or -ENOMEM. `entry` is what the caller read. */
export function* handleHostFault(
  cpu: Cpu,
  vm: Vm,
  vcpu: number,
  slot: SlotImage,
  offset: number,
  write: boolean,
  entry: HostEntryRead,
  hold: number,
): Program {
  const { host } = slot;
  const { kind } = host.backing;
  cpu.spend(Cost.HostFault);
  if ((entry.lo & HostEntry.ProtNone) !== 0) {
    const accessible = (entry.lo & ~HostEntry.ProtNone) | HostEntry.Present;
    yield* install(cpu, vm, entry, entry.hi, accessible);
    return;
  }
  if ((entry.lo & HostEntry.Present) !== 0) {
    yield* copyOnWrite(cpu, vm, slot, offset, entry);
    return;
  }
  const userfault = userfaultFor(slot, offset);
  const cached = (entry.lo & HostEntry.Cached) !== 0;
  // A page that the file has is a minor fault; a missing one is nobody's but its own.
  if (userfault !== null && cached === (userfault.mode === 'minor')) {
    yield* waitForUserfault(
      cpu,
      vm,
      userfault,
      vcpu,
      offset,
      () => isUnchanged(cpu, entry),
      () => unlockVma(cpu, vm, slot.id, hold),
    );
    cpu.ret = FAULT_LOCK_DROPPED;
    return;
  }
  if (cached) {
    yield* install(cpu, vm, entry, entry.hi, (entry.lo & ~HostEntry.Cached) | WRITABLE);
    return;
  }
  const isUpper = entry.shift === host.regionShift;
  if (isUpper && kind === 'transparent-huge') {
    yield* faultHugePage(cpu, vm, host, offset, write, entry);
    if (cpu.ret !== -EAGAIN) return;
  }
  if (isUpper && !(kind === 'hugetlb' && host.backing.unitShift >= PMD_SHIFT)) {
    yield* makeLowerTable(cpu, vm, entry);
    return;
  }
  if (kind === 'hugetlb') yield* faultHugetlb(cpu, vm, host, offset, write, entry);
  else yield* faultPage(cpu, vm, host, offset, write, entry);
}

/** Stores an entry under its lock if nobody was faster. cpu.ok = stored, cpu.ret = 0. */
export function* install(cpu: Cpu, vm: Vm, entry: HostEntryRead, hi: number, lo: number): Program {
  yield* vm.spinlock.acquire(cpu, entry.lockHi, entry.lockLo);
  while (!isUnchanged(cpu, entry)) yield;
  const ok = cpu.ok;
  if (ok) while (!storeEntry(cpu, entry, hi, lo)) yield;
  yield* vm.spinlock.release(cpu, entry.lockHi, entry.lockLo);
  cpu.ok = ok;
  cpu.ret = 0;
}

/** Node for a new frame: the VMA's policy, else the node of the faulting CPU. */
function wantedNode(cpu: Cpu, host: HostTable, offset: number, shift: number): number {
  const { policy } = host;
  if (policy.kind === 'bind') return policy.node;
  if (policy.kind === 'first-touch') return cpu.node;
  return policy.nodes[Math.floor(offset / 2 ** shift) % policy.nodes.length]!;
}

/**
 * A frame for one entry, not zeroed. cpu.ret = 0 and (hi, lo) = its physical address, or -ENOMEM.
 */
export function allocateFrame(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  shift: number,
): Program {
  const node = wantedNode(cpu, host, offset, shift);
  if (host.pool === null) return vm.pages.allocate(cpu, node, shift - 12, MigrateType.Movable);
  return takeHugePage(cpu, host.pool, vm.spinlock, vm.pages.image.fallback[node]!);
}

/** Gives back a frame that lost the race for its entry. */
export function* freeFrame(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  paHi: number,
  paLo: number,
  shift: number,
): Program {
  // A page of the hugetlb pool is lost to its race; the pool keeps no list of returned pages.
  if (host.pool === null) yield* vm.pages.free(cpu, paHi, paLo, shift - 12);
}

/** A zeroed frame (clear_highpage, clear_huge_page), timed as allocation. */
function* allocateZeroed(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  shift: number,
): Program {
  cpu.begin(Metric.FaultAlloc);
  yield* allocateFrame(cpu, vm, host, offset, shift);
  if (cpu.ret === 0) {
    const { hi, lo } = cpu;
    yield* zeroPages(cpu, hi | LINEAR_MAP_HI, lo, 2 ** shift);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = 0;
  }
  cpu.end(Metric.FaultAlloc);
}

/** do_huge_pmd_anonymous_page; -EAGAIN = no 2 MiB block to be had, fall back to pages. */
function* faultHugePage(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  write: boolean,
  entry: HostEntryRead,
): Program {
  if (!write) {
    const zero = host.zeroBlock;
    yield* install(cpu, vm, entry, zero.hi, zero.lo | READ_ZERO);
    return;
  }
  yield* allocateZeroed(cpu, vm, host, offset, PMD_SHIFT);
  if (cpu.ret !== 0) {
    cpu.ret = -EAGAIN;
    return;
  }
  yield* installFrame(cpu, vm, host, entry, cpu.hi, cpu.lo);
}

/** The new frame becomes the entry, or goes back. */
function* installFrame(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  entry: HostEntryRead,
  paHi: number,
  paLo: number,
): Program {
  const isFile = host.backing.kind === 'shmem';
  if (isFile) yield* vm.spinlock.acquire(cpu, host.hi, host.fileLock);
  yield* install(cpu, vm, entry, paHi, paLo | WRITABLE);
  const installed = cpu.ok;
  if (isFile) yield* vm.spinlock.release(cpu, host.hi, host.fileLock);
  if (!installed) yield* freeFrame(cpu, vm, host, paHi, paLo, entry.shift);
  cpu.ret = 0;
}

/**
 * hugetlb_fault: one fault per page at a time, because a page taken from the pool in vain would be
 * missed by whoever has reserved it.
 */
function* faultHugetlb(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  write: boolean,
  entry: HostEntryRead,
): Program {
  const unit = Math.floor(offset / 2 ** entry.shift);
  const mutex = host.faultMutexes + (unit % HUGETLB_FAULT_MUTEXES) * 64;
  yield* vm.spinlock.acquire(cpu, host.hi, mutex);
  while (!isUnchanged(cpu, entry)) yield;
  cpu.ret = 0;
  if (cpu.ok) yield* faultPage(cpu, vm, host, offset, write, entry);
  const result = cpu.ret;
  yield* vm.spinlock.release(cpu, host.hi, mutex);
  cpu.ret = result;
}

/** do_anonymous_page, shmem_fault, hugetlb_no_page. */
function* faultPage(
  cpu: Cpu,
  vm: Vm,
  host: HostTable,
  offset: number,
  write: boolean,
  entry: HostEntryRead,
): Program {
  const { kind } = host.backing;
  if (!write && (kind === 'anonymous' || kind === 'transparent-huge')) {
    const zero = host.zeroPage;
    yield* install(cpu, vm, entry, zero.hi, zero.lo | READ_ZERO);
    return;
  }
  yield* allocateZeroed(cpu, vm, host, offset, entry.shift);
  if (cpu.ret === 0) yield* installFrame(cpu, vm, host, entry, cpu.hi, cpu.lo);
}

/** __pte_alloc: a zeroed lower table. */
export function* makeLowerTable(cpu: Cpu, vm: Vm, entry: HostEntryRead): Program {
  yield* vm.pages.allocate(cpu, cpu.node, 0, MigrateType.Unmovable);
  if (cpu.ret !== 0) {
    cpu.ret = -ENOMEM;
    return;
  }
  const { hi, lo } = cpu;
  yield* zeroPages(cpu, hi | LINEAR_MAP_HI, lo, PAGE_BYTES);
  // ptlock_init.
  const lockAt = vm.pages.structPageLo(hi, lo) + PageField.Lock;
  while (!cpu.store64(hi | LINEAR_MAP_HI, lockAt, 0, 0, Order.Relaxed)) yield;
  yield* install(cpu, vm, entry, hi, lo | HostEntry.Table);
  if (!cpu.ok) yield* vm.pages.free(cpu, hi, lo, 0);
  cpu.ret = 0;
}

/**
 * do_wp_page on the page of zeroes: a frame of its own, and everybody who maps the old one hears.
 */
function* copyOnWrite(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  entry: HostEntryRead,
): Program {
  const { host } = slot;
  const { shift } = entry;
  yield* allocateZeroed(cpu, vm, host, offset, shift);
  const allocated = cpu.ret === 0;
  if (!allocated && shift !== PMD_SHIFT) return;
  const { hi, lo } = cpu;
  const bytes = 2 ** shift;
  const start = Math.floor(offset / bytes) * bytes;
  yield* invalidateStartNotify(cpu, vm, slot, start, bytes);
  // No 2 MiB block: the block of zeroes goes, and the next round falls back to pages.
  if (allocated) yield* installFrame(cpu, vm, host, entry, hi, lo);
  else yield* install(cpu, vm, entry, 0, 0);
  yield* invalidateEndNotify(cpu, vm);
  cpu.ret = 0;
}
