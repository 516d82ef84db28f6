/**
 * Looking up and locking the VMA of a fault (Linux arch/arm64/mm/fault.c: do_page_fault;
 * mm/memory.c: lock_vma_under_rcu, lock_mm_and_find_vma; v6.13). With mmapLock=per-vma the VMA
 * alone is locked for reading; if a writer has it, or the fault needs more, mmap_lock is taken for
 * reading.
 */

import { CheckError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { vmaEndRead, vmaStartRead } from '../../sync/per-vma-lock.ts';
import { rcuReadLock, rcuReadUnlock } from '../base/rcu.ts';
import type { AddressSpace } from './address-space.ts';
import { MmField, slotOf, VmaField, VmaKind, vmaLo } from './mm-struct.ts';
import { vaOf } from './virtual-address.ts';

/** A locked VMA, as its fault sees it. */
export interface FaultVma {
  readonly lo: number;
  readonly kind: VmaKind;
  readonly start: number;
  readonly end: number;
  /** Linear-map address of the file (page-cache.ts); zero for anonymous memory. */
  readonly fileHi: number;
  readonly fileLo: number;
  /** The VMA's own lock is held, not mmap_lock. */
  ownLock: boolean;
}

/** Finds and locks; the result is in `found`, which the caller owns. */
export class VmaLookup {
  found: FaultVma | null = null;

  *lock(cpu: Cpu, space: AddressSpace, address: number): Program {
    this.found = null;
    const slot = slotOf(space.mm, address);
    if (slot < 0) return;
    cpu.begin(Metric.HostFaultLockWait);
    const lo = vmaLo(space.mm, slot);
    let ownLock = false;
    if (space.options.mmapLock === 'per-vma') {
      yield* tryOwnLock(cpu, space, lo);
      ownLock = cpu.ret === 1;
    }
    if (!ownLock) yield* lockMmapRead(cpu, space);
    cpu.end(Metric.HostFaultLockWait);
    cpu.spend(Cost.VmaLookup);
    const { hi } = space.mm;
    while (!cpu.load32(hi, lo + VmaField.Kind, Order.Relaxed)) yield;
    const kind = cpu.lo as VmaKind;
    while (!cpu.load64(hi, lo + VmaField.Start, Order.Relaxed)) yield;
    const start = vaOf(cpu.hi, cpu.lo);
    while (!cpu.load64(hi, lo + VmaField.End, Order.Relaxed)) yield;
    const end = vaOf(cpu.hi, cpu.lo);
    while (!cpu.load64(hi, lo + VmaField.File, Order.Relaxed)) yield;
    const vma = { lo, kind, start, end, fileHi: cpu.hi, fileLo: cpu.lo, ownLock };
    if (kind === VmaKind.None || address < start || address >= end) {
      yield* unlockVma(cpu, space, vma);
      return;
    }
    this.found = vma;
  }
}

/** ret = 1: the VMA's own lock is held. */
function* tryOwnLock(cpu: Cpu, space: AddressSpace, lo: number): Program {
  const { hi } = space.mm;
  yield* rcuReadLock(cpu);
  while (!cpu.load32(hi, lo + VmaField.Kind, Order.Relaxed)) yield;
  const attached = cpu.lo !== VmaKind.None;
  cpu.ret = 0;
  if (attached) {
    const sequence = { hi, lo: (space.mm.lo + MmField.LockSequence) | 0 };
    yield* vmaStartRead(cpu, { hi, lo }, sequence);
  }
  let locked = cpu.ret;
  if (locked === 1) {
    // A VMA may be detached between the look-up and the lock.
    while (!cpu.load32(hi, lo + VmaField.Kind, Order.Relaxed)) yield;
    if (cpu.lo === VmaKind.None) {
      yield* vmaEndRead(cpu, { hi, lo });
      locked = 0;
    }
  }
  yield* rcuReadUnlock(cpu);
  cpu.ret = locked;
}

function* lockMmapRead(cpu: Cpu, space: AddressSpace): Program {
  const { hi, lo } = space.mm;
  yield space.mmapLock.acquireRead(cpu, hi, (lo + MmField.MmapLock) | 0);
}

export function* unlockVma(cpu: Cpu, space: AddressSpace, vma: FaultVma): Program {
  const { hi, lo } = space.mm;
  if (vma.ownLock) yield* vmaEndRead(cpu, { hi, lo: vma.lo });
  else yield* space.mmapLock.releaseRead(cpu, hi, (lo + MmField.MmapLock) | 0);
}

/**
 * vmf_anon_prepare: the first fault of an anonymous VMA makes its anon_vma, for which it needs
 * mmap_lock: with the VMA's own lock it only tries, and waits for mmap_lock if somebody has it.
 */
export function* prepareAnonVma(cpu: Cpu, space: AddressSpace, vma: FaultVma): Program {
  const { hi, lo } = space.mm;
  const mmapLo = (lo + MmField.MmapLock) | 0;
  while (!cpu.load32(hi, vma.lo + VmaField.AnonVma, Order.Acquire)) yield;
  if (cpu.lo !== 0) return;
  if (vma.ownLock) {
    yield space.mmapLock.tryAcquireRead(cpu, hi, mmapLo);
    if (cpu.ret === 0) {
      yield* vmaEndRead(cpu, { hi, lo: vma.lo });
      vma.ownLock = false;
      cpu.begin(Metric.HostFaultLockWait);
      yield* lockMmapRead(cpu, space);
      cpu.end(Metric.HostFaultLockWait);
      yield* refuseIfGone(cpu, space, vma);
    }
  }
  while (!cpu.store32(hi, vma.lo + VmaField.AnonVma, 1, Order.Release)) yield;
  if (vma.ownLock) yield* space.mmapLock.releaseRead(cpu, hi, mmapLo);
}

/** Between the two locks somebody may have unmapped what the program touches. */
function* refuseIfGone(cpu: Cpu, space: AddressSpace, vma: FaultVma): Program {
  while (!cpu.load32(space.mm.hi, vma.lo + VmaField.Kind, Order.Relaxed)) yield;
  if (cpu.lo !== VmaKind.None) return;
  throw new CheckError(`cpu ${cpu.id}: memory was unmapped by one thread while another uses it`);
}
