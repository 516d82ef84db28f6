/**
 * Who takes host mappings away while the guest runs, on a CPU of its own, at a rate per emulated
 * second: page migration (mm/migrate.c: migrate_pages, try_to_migrate_one, remove_migration_ptes)
 * and NUMA balancing (mm/mempolicy.c: change_prot_numa; mm/mprotect.c: change_pmd_range).
 *
 * Migration notifies around the change of one host entry, copies afterwards and then puts the new
 * frame in; faults that meet the entry meanwhile wait for it. NUMA balancing makes 2 MiB at a time
 * inaccessible and puts nothing in: faults make the pages accessible again.
 *
 * Deviations: pages are chosen at random; a frame that anybody else holds a reference to is left
 * alone; old frames are given back after an RCU grace period, since GUP reads without locks.
 */

import { PS_PER_S } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { copyPages } from '../base/page-operations.ts';
import { rcuQuiescent } from '../base/rcu.ts';
import { PageField } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import {
  HOST_ENTRY_FLAGS,
  HostEntry,
  type HostEntryRead,
  isUnchanged,
  newHostEntryRead,
  PMD_SHIFT,
  readEntry,
  storeEntry,
} from './host-table.ts';
import { lockVma, unlockVma } from './mm-struct.ts';
import { invalidateEndNotify, invalidateStartNotify } from './notifier.ts';
import type { SlotImage, Vm } from './vm.ts';

const MIGRATABLE = HostEntry.Present | HostEntry.Write;

/**
 * Fires until stopNotifierSource: `stream` is the workload's random stream that chooses pages. Ends
 * at once with notifier=off.
 */
export function* runNotifierSource(
  cpu: Cpu,
  vm: Vm,
  slots: readonly SlotImage[],
  stream: number,
): Program {
  const { notifier, notifierRatePerSecond } = vm.options;
  if (notifier === 'off' || notifierRatePerSecond === 0) return;
  const { kvmHi, field } = vm;
  const interval = Math.ceil(PS_PER_S / notifierRatePerSecond);
  const { Equal } = Condition;
  for (;;) {
    const next = cpu.deadline(interval);
    const stop = field.notifierStop;
    while (!cpu.cond32Until(kvmHi, stop, Equal, -1, 1, next, Order.Acquire)) yield;
    if (cpu.ok) return;
    const slot = slots[cpu.random(stream) % slots.length]!;
    if (notifier === 'migrate') {
      const page = cpu.random(stream) % slot.pages;
      const node = cpu.random(stream) % vm.pages.image.zones.length;
      yield migratePage(cpu, vm, slot, page * vm.pageBytes, node);
    } else {
      const regions = Math.ceil(slot.bytes / 2 ** PMD_SHIFT);
      const region = cpu.random(stream) % regions;
      yield makeInaccessible(cpu, vm, slot, region * 2 ** PMD_SHIFT);
    }
    while (!rcuQuiescent(cpu)) yield;
  }
}

export function* stopNotifierSource(cpu: Cpu, vm: Vm): Program {
  while (!cpu.store32(vm.kvmHi, vm.field.notifierStop, 1, Order.Release)) yield;
}

/** Moves one page (or one 2 MiB block) to a node. cpu.ok = it was moved. */
export function* migratePage(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  node: number,
): Program {
  const { host } = slot;
  const entry = newHostEntryRead();
  cpu.spend(Cost.Syscall);
  yield* readEntry(cpu, vm, host, offset, entry);
  cpu.ok = false;
  const ownFrames = host.pool === null && host.bootTables.pages === 0;
  if (!ownFrames || (entry.lo & (MIGRATABLE | HostEntry.Table)) !== MIGRATABLE) return;
  const { hi: oldHi, lo: oldEntry, shift } = entry;
  const oldLo = oldEntry & ~HOST_ENTRY_FLAGS;
  const bytes = 2 ** shift;
  const start = Math.floor(offset / bytes) * bytes;
  yield* invalidateStartNotify(cpu, vm, slot, start, bytes);
  const waiting = (oldEntry & ~HostEntry.Present) | HostEntry.Migration;
  yield* replaceEntry(cpu, vm, entry, oldHi, waiting);
  const taken = cpu.ok;
  yield* invalidateEndNotify(cpu, vm);
  if (!taken) return;
  yield* copyToNode(cpu, vm, oldHi, oldLo, shift, node);
  const moved = cpu.ret === 0;
  const newHi = moved ? cpu.hi : oldHi;
  const newLo = moved ? cpu.lo | MIGRATABLE : oldEntry;
  yield* replaceEntry(cpu, vm, entry, newHi, newLo);
  if (moved) {
    yield vm.rcu.synchronize(cpu);
    yield* vm.pages.free(cpu, oldHi, oldLo, shift - 12);
  }
  cpu.ok = moved;
}

/** A new frame with the contents of the old. cpu.ret = 0 and (hi, lo) its address. */
function* copyToNode(
  cpu: Cpu,
  vm: Vm,
  oldHi: number,
  oldLo: number,
  shift: number,
  node: number,
): Program {
  // folio_migrate_mapping: somebody who holds a reference may still write through it.
  const pageHi = vm.pages.structPageHi(oldHi);
  const pageLo = vm.pages.structPageLo(oldHi, oldLo);
  while (!cpu.load32(pageHi, pageLo + PageField.RefCount, Order.Acquire)) yield;
  cpu.ret = -1;
  if (cpu.lo !== 1) return;
  const target = vm.pages.image.zones[node] === null ? cpu.node : node;
  yield* vm.pages.allocate(cpu, target, shift - 12, MigrateType.Movable);
  if (cpu.ret !== 0) return;
  const { hi, lo } = cpu;
  yield* copyPages(cpu, hi | LINEAR_MAP_HI, lo, oldHi | LINEAR_MAP_HI, oldLo, 2 ** shift);
  cpu.hi = hi;
  cpu.lo = lo;
  cpu.ret = 0;
}

/** Under the table's lock, if the entry still is as it was read. cpu.ok = replaced. */
function* replaceEntry(cpu: Cpu, vm: Vm, entry: HostEntryRead, hi: number, lo: number): Program {
  yield* vm.spinlock.acquire(cpu, entry.lockHi, entry.lockLo);
  while (!isUnchanged(cpu, entry)) yield;
  const ok = cpu.ok;
  if (ok) while (!storeEntry(cpu, entry, hi, lo)) yield;
  yield* vm.spinlock.release(cpu, entry.lockHi, entry.lockLo);
  cpu.ok = ok;
}

/** change_prot_numa for the 2 MiB at an offset. */
export function* makeInaccessible(cpu: Cpu, vm: Vm, slot: SlotImage, offset: number): Program {
  const { host } = slot;
  const entry = newHostEntryRead();
  cpu.spend(Cost.Syscall);
  yield* lockVma(cpu, vm, slot.id);
  const hold = cpu.ret;
  const bytes = Math.min(2 ** PMD_SHIFT, slot.bytes - offset);
  yield* readEntry(cpu, vm, host, offset, entry);
  // The notifier fires only where something is mapped.
  if (entry.lo !== 0) {
    yield* invalidateStartNotify(cpu, vm, slot, offset, bytes);
    for (let at = offset; at < offset + bytes; at += 2 ** entry.shift) {
      yield* readEntry(cpu, vm, host, at, entry);
      if ((entry.lo & (MIGRATABLE | HostEntry.Table)) !== MIGRATABLE) continue;
      const hinted = (entry.lo & ~HostEntry.Present) | HostEntry.ProtNone;
      yield* replaceEntry(cpu, vm, entry, entry.hi, hinted);
    }
    yield* invalidateEndNotify(cpu, vm);
  }
  yield* unlockVma(cpu, vm, slot.id, hold);
}
