/**
 * Per-VMA lock: a fault locks its VMA for reading instead of mmap_lock; a writer, who holds
 * mmap_lock, marks the VMA with the mm's current sequence and unlocks all its VMAs at once by
 * raising that.
 * Source: include/linux/mm.h (v6.4 to v6.13): vma_start_read, vma_end_read, vma_start_write,
 * vma_end_write_all; struct vma_lock = one rw_semaphore.
 * Invariants: a VMA is write-locked while its sequence equals the mm's; sequences change only with
 * mmap_lock held for writing.
 * Line transfers per read lock: those of the rw_semaphore of this VMA, plus reads of the VMA's and
 * the mm's sequence, which only writers change.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import type { BootMemory } from '../memory/boot.ts';
import type { Address } from '../memory/physical-address.ts';
import { makeReadWriteSemaphore } from './rwsem.ts';
import { SEMAPHORE_BYTES } from './rwsem-layout.ts';

/** The lock part of a VMA: vm_lock_seq, then vm_lock (a cache object of its own in the kernel). */
const SEQUENCE = 0;
const SEMAPHORE = 64;
export const VMA_LOCK_BYTES = SEMAPHORE + SEMAPHORE_BYTES;
/** mm->mm_lock_seq. */
export const MM_LOCK_SEQUENCE_BYTES = 4;

const semaphore = makeReadWriteSemaphore();

/** A new VMA is unlocked: its sequence differs from the mm's, which starts at 0. */
export function initVmaLock(boot: BootMemory, physical: Address): void {
  boot.write32(physical, SEQUENCE, -1);
}

/**
 * Under RCU; result in cpu.ret: 1 = locked, 0 = take mmap_lock instead. `mm` = its sequence
 * word.
 */
export function* vmaStartRead(cpu: Cpu, vma: Address, mm: Address): Program {
  yield* isWriteLocked(cpu, vma, mm);
  if (cpu.ret === 1) {
    cpu.ret = 0;
    return;
  }
  yield* semaphore.tryAcquireRead(cpu, vma.hi, vma.lo + SEMAPHORE);
  if (cpu.ret === 0) return;
  // A writer may have come and gone between the two: its mark stays until the mm's sequence moves.
  yield* isWriteLocked(cpu, vma, mm);
  if (cpu.ret === 0) {
    cpu.ret = 1;
    return;
  }
  yield semaphore.releaseRead(cpu, vma.hi, vma.lo + SEMAPHORE);
  cpu.ret = 0;
}

export function* vmaEndRead(cpu: Cpu, vma: Address): Program {
  yield* semaphore.releaseRead(cpu, vma.hi, vma.lo + SEMAPHORE);
}

/** With mmap_lock held for writing. Waits for the readers inside; they can't come back after it. */
export function* vmaStartWrite(cpu: Cpu, vma: Address, mm: Address): Program {
  yield* isWriteLocked(cpu, vma, mm);
  if (cpu.ret === 1) return;
  while (!cpu.load32(mm.hi, mm.lo, Order.Relaxed)) yield;
  const sequence = cpu.lo;
  yield semaphore.acquire(cpu, vma.hi, vma.lo + SEMAPHORE);
  while (!cpu.store32(vma.hi, vma.lo + SEQUENCE, sequence, Order.Relaxed)) yield;
  yield semaphore.release(cpu, vma.hi, vma.lo + SEMAPHORE);
}

/** Just before mmap_lock is dropped. */
export function* vmaEndWriteAll(cpu: Cpu, mm: Address): Program {
  while (!cpu.load32(mm.hi, mm.lo, Order.Relaxed)) yield;
  const next = (cpu.lo + 1) & 0x7fffffff;
  while (!cpu.store32(mm.hi, mm.lo, next, Order.Release)) yield;
}

/** Result in cpu.ret: 1 = the two sequences are equal. */
function* isWriteLocked(cpu: Cpu, vma: Address, mm: Address): Program {
  while (!cpu.load32(vma.hi, vma.lo + SEQUENCE, Order.Relaxed)) yield;
  const own = cpu.lo;
  while (!cpu.load32(mm.hi, mm.lo, Order.Acquire)) yield;
  cpu.ret = cpu.lo === own ? 1 : 0;
}
