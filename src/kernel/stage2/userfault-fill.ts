/**
 * What a userfaultfd handler does with a message: UFFDIO_COPY (mfill_atomic: allocate, copy,
 * install under mmap_lock for reading, page by page) or UFFDIO_CONTINUE (mfill_atomic_pte_continue:
 * map the page that the file has), each followed by the wake-up. And the loop of a handler thread
 * (tools/testing/selftests/kvm/lib/userfaultfd_util.c, uffd_handler_thread_fn).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Cost } from '../../machine/costs.ts';
import { type Address, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { copyPages } from '../base/page-operations.ts';
import { addressOf, alignDown } from './address.ts';
import { allocateFrame, freeFrame, install, makeLowerTable } from './host-fault.ts';
import {
  HostEntry,
  type HostEntryRead,
  newHostEntryRead,
  PMD_SHIFT,
  readEntry,
} from './host-table.ts';
import { lockVma, unlockVma } from './mm-struct.ts';
import { readUserfault, type UserfaultContext, wakeUserfaults } from './userfault.ts';
import type { SlotImage, Vm } from './vm.ts';

/** Fills [offset, offset + bytes) of the slot and wakes its waiters; pages that are there stay. */
export function* userfaultCopy(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  context: UserfaultContext,
  offset: number,
  bytes: number,
  source: Address,
): Program {
  cpu.spend(Cost.Syscall);
  yield* lockVma(cpu, vm, slot.id);
  const hold = cpu.ret;
  const entry = newHostEntryRead();
  for (let at = offset; at < offset + bytes; ) {
    yield* missingEntry(cpu, vm, slot, at, entry);
    const step = 2 ** entry.shift;
    if (entry.lo === 0) yield* copyInto(cpu, vm, slot, at, entry, source);
    if (cpu.ret < 0) break;
    at = alignDown(at, step) + step;
  }
  const result = cpu.ret;
  yield* unlockVma(cpu, vm, slot.id, hold);
  yield* wakeUserfaults(cpu, vm, context, offset, bytes);
  cpu.ret = result;
}

/** The entry for an offset, with its lower table made if it needs one. */
function* missingEntry(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  entry: HostEntryRead,
): Program {
  const { host } = slot;
  const hugePages = host.backing.kind === 'hugetlb' && host.backing.unitShift >= PMD_SHIFT;
  for (;;) {
    yield* readEntry(cpu, vm, host, offset, entry);
    cpu.ret = 0;
    const isUpper = entry.shift === host.regionShift;
    if (!isUpper || hugePages || (entry.lo & HostEntry.Present) !== 0) return;
    yield* makeLowerTable(cpu, vm, entry);
    if (cpu.ret !== 0) return;
  }
}

/** mfill_atomic_pte_copy: -EEXIST of the kernel leaves the page as it is. */
function* copyInto(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  entry: HostEntryRead,
  source: Address,
): Program {
  const { host } = slot;
  yield* allocateFrame(cpu, vm, host, offset, entry.shift);
  if (cpu.ret !== 0) return;
  const { hi, lo } = cpu;
  const bytes = 2 ** entry.shift;
  const sourceHi = source.hi | LINEAR_MAP_HI;
  yield* copyPages(cpu, hi | LINEAR_MAP_HI, lo, sourceHi, source.lo, bytes);
  yield* install(cpu, vm, entry, hi, lo | HostEntry.Present | HostEntry.Write);
  if (!cpu.ok) yield* freeFrame(cpu, vm, host, hi, lo, entry.shift);
  cpu.ret = 0;
}

/** UFFDIO_CONTINUE: maps the pages that the file has. */
export function* userfaultContinue(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  context: UserfaultContext,
  offset: number,
  bytes: number,
): Program {
  cpu.spend(Cost.Syscall);
  yield* lockVma(cpu, vm, slot.id);
  const hold = cpu.ret;
  const entry = newHostEntryRead();
  for (let at = offset; at < offset + bytes; at += 2 ** entry.shift) {
    yield* readEntry(cpu, vm, slot.host, at, entry);
    if ((entry.lo & HostEntry.Cached) === 0) continue;
    const mapped = (entry.lo & ~HostEntry.Cached) | HostEntry.Present | HostEntry.Write;
    yield* install(cpu, vm, entry, entry.hi, mapped);
  }
  yield* unlockVma(cpu, vm, slot.id, hold);
  yield* wakeUserfaults(cpu, vm, context, offset, bytes);
  cpu.ret = 0;
}

/** How a handler thread answers (demand_paging_test: -u, -d and the page size of the backing). */
export interface UserfaultService {
  readonly slot: SlotImage;
  readonly context: UserfaultContext;
  /** Bytes filled per message. */
  readonly unitBytes: number;
  /** Delay before each answer (-d). */
  readonly delayPs: number;
  readonly source: Address;
}

/** Answers messages until stopUserfaults; the thread runs on a CPU of its own. */
export function* userfaultHandler(cpu: Cpu, vm: Vm, service: UserfaultService): Program {
  const { slot, context, unitBytes, delayPs, source } = service;
  for (;;) {
    yield* readUserfault(cpu, vm, context);
    if (!cpu.ok) return;
    const offset = alignDown(addressOf(cpu.hi, cpu.lo), unitBytes);
    if (delayPs > 0) cpu.compute(delayPs);
    cpu.spend(Cost.UffdHandle);
    if (context.mode === 'minor') {
      yield userfaultContinue(cpu, vm, slot, context, offset, unitBytes);
    } else {
      yield userfaultCopy(cpu, vm, slot, context, offset, unitBytes, source);
    }
  }
}
