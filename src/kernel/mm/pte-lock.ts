/**
 * Split page-table lock: each table page has a spinlock of its own in its descriptor. A walker
 * finds the table by a look at the pmd without a lock, takes the table's lock and looks at the pmd
 * again; whoever takes a table out of the tree does so under the locks of the pmd and the table,
 * and leaves the table and its lock to RCU.
 * Source: mm/pgtable-generic.c (__pte_offset_map_lock, pte_free_defer), mm/memory.c (pmd_install),
 * mm/khugepaged.c (retract_page_tables), include/linux/mm_types.h (struct ptdesc).
 * Invariants: entries of a table change under its lock only, while the pmd points to it; from the
 * look at the pmd to the unlock is one read-side section, so the lock that is waited for is there.
 * Line transfers per lock: 2 to 4 as qspinlock's, and a read of the pmd's line.
 * Deviations: tables come from one stretch of pages, their descriptors (lock and rcu_head) from
 * another; the pmd's own lock lies behind the pmd.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { noteAcquired, noteReleased } from '../../sync/lock-events.ts';
import { queuedSpinLock, queuedSpinUnlock } from '../../sync/qspinlock.ts';
import { rcuReadLock, rcuReadUnlock } from '../base/rcu.ts';
import type { Rcu } from '../base/rcu-callbacks.ts';

/** A pmd: the entry (table's physical address and 3, or 0), then its spinlock. */
export const PMD_BYTES = 16;
const PMD_LOCK = 8;
const TABLE_DESCRIPTOR = 3;
const ADDRESS_LO = ~0xfff;
/** A table's descriptor: the spinlock, then its rcu_head. */
const DESCRIPTOR_BYTES = 64;
const RCU_HEAD = 16;
const PAGE_BYTES = 4096;

/** Plain data, made by bootPteTables. */
export interface PteTablesImage {
  /** Linear-map address of the first table; the others follow. */
  readonly hi: number;
  readonly lo: number;
  readonly count: number;
  readonly descriptorsHi: number;
  readonly descriptorsLo: number;
}

export function bootPteTables(boot: BootMemory, node: number, count: number): PteTablesImage {
  const tables = boot.allocateNamed('pte tables', node, count * PAGE_BYTES, PAGE_BYTES);
  const descriptors = toLinear(boot.allocateNamed('ptdesc', node, count * DESCRIPTOR_BYTES));
  const { hi, lo } = toLinear(tables);
  return { hi, lo, count, descriptorsHi: descriptors.hi, descriptorsLo: descriptors.lo };
}

/** Address (low half) of a table's descriptor, which is freed with the table. */
export function descriptorLo(image: PteTablesImage, tableLo: number): number {
  const index = ((tableLo - image.lo) >>> 0) / PAGE_BYTES;
  assert(Number.isInteger(index) && index < image.count, `no table page at ${tableLo}`);
  return (image.descriptorsLo + index * DESCRIPTOR_BYTES) | 0;
}

export interface PteLockSteps {
  /** The lockless look; result in cpu.hi and cpu.lo. One attempt. */
  readPmd(cpu: Cpu, pmdHi: number, pmdLo: number): boolean;
  /** With the table locked; result in cpu.ret: 1 = the pmd is as it was seen. */
  recheck(cpu: Cpu, pmdHi: number, pmdLo: number, seenHi: number, seenLo: number): Program;
  /** Both locks held: the pmd points nowhere from here on. One attempt. */
  clearPmd(cpu: Cpu, pmdHi: number, pmdLo: number): boolean;
  /** Frees a table that is out of the tree: handler `functionId` of RCU, after a grace period. */
  free(
    cpu: Cpu,
    rcu: Rcu,
    headHi: number,
    headLo: number,
    functionId: number,
    tableHi: number,
    tableLo: number,
  ): Program;
}

export const pteLockSteps: PteLockSteps = {
  readPmd: (cpu, pmdHi, pmdLo) => cpu.load64(pmdHi, pmdLo, Order.Acquire),

  *recheck(cpu, pmdHi, pmdLo, seenHi, seenLo) {
    while (!cpu.load64(pmdHi, pmdLo, Order.Relaxed)) yield;
    cpu.ret = cpu.hi === seenHi && cpu.lo === seenLo ? 1 : 0;
  },

  clearPmd: (cpu, pmdHi, pmdLo) => cpu.store64(pmdHi, pmdLo, 0, 0, Order.Relaxed),

  free: (cpu, rcu, headHi, headLo, functionId, tableHi, tableLo) =>
    rcu.call(cpu, headHi, headLo, functionId, tableHi, tableLo),
};

/** What is done to a table under its lock, before it leaves the tree. */
export type EmptyTable = (cpu: Cpu, tableHi: number, tableLo: number) => Program;

/** One per CPU; holds nothing that another CPU sees. */
export class PteLock {
  readonly #image: PteTablesImage;
  readonly #rcu: Rcu;
  /** Handler of `rcu` that frees a table; its argument is the table's address. */
  readonly #functionId: number;
  readonly #steps: PteLockSteps;

  constructor(image: PteTablesImage, rcu: Rcu, functionId: number, steps = pteLockSteps) {
    this.#image = image;
    this.#rcu = rcu;
    this.#functionId = functionId;
    this.#steps = steps;
  }

  /**
   * pte_offset_map_lock. cpu.ret: 1 = the table that the pmd points to is locked, its linear-map
   * address in cpu.hi and cpu.lo; 0 = there is none. With 1 a read-side section stays open.
   */
  *lock(cpu: Cpu, pmdHi: number, pmdLo: number): Program {
    const { descriptorsHi } = this.#image;
    for (;;) {
      yield* rcuReadLock(cpu);
      while (!this.#steps.readPmd(cpu, pmdHi, pmdLo)) yield;
      const seenHi = cpu.hi;
      const seenLo = cpu.lo;
      if (seenLo === 0) break;
      const tableHi = seenHi | LINEAR_MAP_HI;
      const tableLo = seenLo & ADDRESS_LO;
      const lock = descriptorLo(this.#image, tableLo);
      yield* queuedSpinLock(cpu, descriptorsHi, lock);
      const contended = cpu.ret === 1;
      yield* this.#steps.recheck(cpu, pmdHi, pmdLo, seenHi, seenLo);
      if (cpu.ret === 1) {
        noteAcquired(cpu, descriptorsHi, lock, contended);
        cpu.hi = tableHi;
        cpu.lo = tableLo;
        return;
      }
      while (!queuedSpinUnlock(cpu, descriptorsHi, lock)) yield;
      yield* rcuReadUnlock(cpu);
    }
    yield* rcuReadUnlock(cpu);
    cpu.ret = 0;
  }

  /** pte_unmap_unlock. */
  *unlock(cpu: Cpu, tableLo: number): Program {
    const lock = descriptorLo(this.#image, tableLo);
    noteReleased(cpu, this.#image.descriptorsHi, lock);
    while (!queuedSpinUnlock(cpu, this.#image.descriptorsHi, lock)) yield;
    yield* rcuReadUnlock(cpu);
  }

  /** pmd_install after pte_alloc_one: a zeroed table for an empty pmd; cpu.ret: 1 = it is there. */
  *install(cpu: Cpu, pmdHi: number, pmdLo: number, tableHi: number, tableLo: number): Program {
    const { descriptorsHi } = this.#image;
    const lock = descriptorLo(this.#image, tableLo);
    // ptlock_init: nobody can know the lock any more, or yet.
    while (!cpu.store32(descriptorsHi, lock, 0, Order.Relaxed)) yield;
    yield* queuedSpinLock(cpu, pmdHi, pmdLo + PMD_LOCK);
    while (!cpu.load64(pmdHi, pmdLo, Order.Relaxed)) yield;
    const isEmpty = cpu.lo === 0;
    if (isEmpty) {
      const entry = tableLo | TABLE_DESCRIPTOR;
      while (!cpu.store64(pmdHi, pmdLo, tableHi & 0xffff, entry, Order.Release)) yield;
    }
    while (!queuedSpinUnlock(cpu, pmdHi, pmdLo + PMD_LOCK)) yield;
    cpu.ret = isEmpty ? 1 : 0;
  }

  /** retract_page_tables for one table: empties it, takes it out, leaves it to RCU. */
  *retract(cpu: Cpu, pmdHi: number, pmdLo: number, empty: EmptyTable): Program {
    const { descriptorsHi } = this.#image;
    yield* queuedSpinLock(cpu, pmdHi, pmdLo + PMD_LOCK);
    while (!cpu.load64(pmdHi, pmdLo, Order.Relaxed)) yield;
    const tableHi = cpu.hi | LINEAR_MAP_HI;
    const tableLo = cpu.lo & ADDRESS_LO;
    if (cpu.lo === 0) {
      while (!queuedSpinUnlock(cpu, pmdHi, pmdLo + PMD_LOCK)) yield;
      cpu.ret = 0;
      return;
    }
    const lock = descriptorLo(this.#image, tableLo);
    yield* queuedSpinLock(cpu, descriptorsHi, lock);
    noteAcquired(cpu, descriptorsHi, lock, cpu.ret === 1);
    yield* empty(cpu, tableHi, tableLo);
    while (!this.#steps.clearPmd(cpu, pmdHi, pmdLo)) yield;
    cpu.event(EventKind.TablePageUnlinked, tableHi, tableLo);
    noteReleased(cpu, descriptorsHi, lock);
    while (!queuedSpinUnlock(cpu, descriptorsHi, lock)) yield;
    while (!queuedSpinUnlock(cpu, pmdHi, pmdLo + PMD_LOCK)) yield;
    const head = lock + RCU_HEAD;
    const { free } = this.#steps;
    yield* free(cpu, this.#rcu, descriptorsHi, head, this.#functionId, tableHi, tableLo);
    cpu.ret = 1;
  }
}
