/**
 * From a guest page to the host's frame: __kvm_faultin_pfn, hva_to_pfn, hva_to_pfn_fast,
 * hva_to_pfn_slow (virt/kvm/kvm_main.c, v6.13) and the parts of GUP behind them.
 *
 * Fast: reads the host's page table without locks and takes a reference on a writable frame. Slow:
 * under mmap_lock, faults the page in until it is there. A read fault of a page that the host may
 * write is mapped writable at once.
 *
 * Deviations: frames of the hugetlb pool and frames made by boot code carry no reference counts.
 * The lockless part relies on this CPU holding up RCU while it is in the kernel: frames and tables
 * are freed only after a grace period.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { PageField, PageFlag } from '../base/struct-page.ts';
import { FAULT_LOCK_DROPPED, handleHostFault } from './host-fault.ts';
import {
  frameOf,
  HOST_ENTRY_FLAGS,
  HostEntry,
  type HostEntryRead,
  type HostTable,
  isUnchanged,
  newHostEntryRead,
  readLower,
  readUpper,
} from './host-table.ts';
import { holdOf, lockLookUp, readVmaEnd, readVmaStart, unlockVma } from './mm-struct.ts';
import type { SlotImage, Vm } from './vm.ts';

/** What a look-up found. Private to one CPU; reused from fault to fault. */
export interface PageLookup {
  readonly entry: HostEntryRead;
  /** Physical address of the 4K frame. */
  physical: number;
  /** The host maps the frame writable. */
  writable: boolean;
  /** struct page whose reference this CPU holds (linear address); lo = 0 and hi = 0: none. */
  pageHi: number;
  pageLo: number;
}

export function newPageLookup(): PageLookup {
  return { entry: newHostEntryRead(), physical: 0, writable: false, pageHi: 0, pageLo: 0 };
}

/** Result in cpu.ret: 0 with `found` filled in and a reference held, or -ENOMEM. */
export function* lookUpPage(
  cpu: Cpu,
  vm: Vm,
  vcpu: number,
  slot: SlotImage,
  offset: number,
  write: boolean,
  found: PageLookup,
): Program {
  cpu.spend(Cost.GupFast);
  // get_user_page_fast_only(FOLL_WRITE): interrupts stay off as in Linux.
  const { host } = slot;
  const { entry } = found;
  const interrupts = cpu.interrupts(false);
  while (!readUpper(cpu, host, offset, entry)) yield;
  if ((entry.lo & HostEntry.Table) !== 0) while (!readLower(cpu, vm, host, offset, entry)) yield;
  const wanted = HostEntry.Present | HostEntry.Write;
  let ok = (entry.lo & (wanted | HostEntry.Table)) === wanted;
  if (ok) {
    while (!grab(cpu, vm, host, offset, found)) yield;
    while (!isUnchanged(cpu, entry)) yield;
    ok = cpu.ok;
    if (!ok && found.pageHi !== 0) while (!putPage(cpu, found)) yield;
  }
  cpu.interrupts(interrupts);
  cpu.ret = 0;
  if (!ok) yield lookUpSlow(cpu, vm, vcpu, slot, offset, write, found);
}

/** Notes the frame of an entry and takes a reference on it. One access, or none. */
function grab(cpu: Cpu, vm: Vm, host: HostTable, offset: number, found: PageLookup): boolean {
  const { entry } = found;
  found.physical = frameOf(entry, offset);
  found.writable = (entry.lo & HostEntry.Write) !== 0;
  found.pageHi = 0;
  found.pageLo = 0;
  const isZero = (entry.lo & HostEntry.Zero) !== 0;
  if (isZero || host.pool !== null || host.bootTables.pages > 0) return true;
  // The reference is on the head: all users of a 2 MiB page share its line.
  const headLo = entry.lo & ~HOST_ENTRY_FLAGS;
  found.pageHi = vm.pages.structPageHi(entry.hi);
  found.pageLo = vm.pages.structPageLo(entry.hi, headLo);
  return cpu.add32(found.pageHi, found.pageLo + PageField.RefCount, 1, Order.Acquire);
}

/** The flags of the frame, in cpu.lo. */
export function readPageFlags(cpu: Cpu, found: PageLookup): boolean {
  return cpu.load32(found.pageHi, found.pageLo, Order.Relaxed);
}

/** kvm_set_page_dirty: the guest may write the frame. */
export function setPageDirty(cpu: Cpu, found: PageLookup): boolean {
  return cpu.set32(found.pageHi, found.pageLo, PageFlag.Dirty, Order.Relaxed);
}

/** put_page: drops the reference that the look-up took. */
export function putPage(cpu: Cpu, found: PageLookup): boolean {
  const { pageHi, pageLo } = found;
  if (!cpu.add32(pageHi, pageLo + PageField.RefCount, -1, Order.Release)) return false;
  found.pageHi = 0;
  found.pageLo = 0;
  return true;
}

/** get_user_pages_unlocked: faults the page in, then takes the reference under the table's lock. */
function* lookUpSlow(
  cpu: Cpu,
  vm: Vm,
  vcpu: number,
  slot: SlotImage,
  offset: number,
  write: boolean,
  found: PageLookup,
): Program {
  const { host } = slot;
  const { entry } = found;
  let hold = yield* lockTimed(cpu, vm, slot.id);
  for (;;) {
    while (!readUpper(cpu, host, offset, entry)) yield;
    if ((entry.lo & HostEntry.Table) !== 0) while (!readLower(cpu, vm, host, offset, entry)) yield;
    if ((entry.lo & HostEntry.Migration) !== 0) {
      yield* waitForMigration(cpu, entry);
      continue;
    }
    if (isUsable(entry.lo, write)) {
      yield* vm.spinlock.acquire(cpu, entry.lockHi, entry.lockLo);
      while (!isUnchanged(cpu, entry)) yield;
      const unchanged = cpu.ok;
      if (unchanged) while (!grab(cpu, vm, host, offset, found)) yield;
      yield* vm.spinlock.release(cpu, entry.lockHi, entry.lockLo);
      if (!unchanged) continue;
      cpu.ret = 0;
      break;
    }
    yield handleHostFault(cpu, vm, vcpu, slot, offset, write, entry, hold);
    if (cpu.ret === FAULT_LOCK_DROPPED) {
      hold = yield* lockTimed(cpu, vm, slot.id);
      continue;
    }
    if (cpu.ret !== 0) break;
  }
  const result = cpu.ret;
  yield* unlockVma(cpu, vm, slot.id, hold);
  cpu.ret = result;
}

function isUsable(lo: number, write: boolean): boolean {
  if ((lo & HostEntry.Table) !== 0 || (lo & HostEntry.Present) === 0) return false;
  return !write || (lo & HostEntry.Write) !== 0;
}

function* lockTimed(
  cpu: Cpu,
  vm: Vm,
  slot: number,
): Generator<Program | undefined, number, undefined> {
  cpu.begin(Metric.FaultMmapLockWait);
  yield* lockLookUp(cpu, vm, slot);
  const hold = holdOf(cpu, vm);
  cpu.spend(Cost.VmaLookup);
  while (!readVmaStart(cpu, vm, slot)) yield;
  while (!readVmaEnd(cpu, vm, slot)) yield;
  cpu.end(Metric.FaultMmapLockWait);
  return hold;
}

/** migration_entry_wait. */
function* waitForMigration(cpu: Cpu, entry: HostEntryRead): Program {
  const { entryHi, entryLo } = entry;
  const mask = HostEntry.Migration;
  while (!cpu.cond32(entryHi, entryLo, Condition.AnyBitClear, mask, 0, Order.Acquire)) yield;
}
