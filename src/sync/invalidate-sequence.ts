/**
 * The MMU-notifier sequence of KVM: a fault that looked a page up outside the lock finds out under
 * the lock whether an invalidation has begun or ended since.
 * Source: virt/kvm/kvm_main.c, kvm_mmu_invalidate_begin and kvm_mmu_invalidate_end;
 * include/linux/kvm_host.h, mmu_invalidate_retry (v6.1 and later; mmu_notifier_seq before).
 * Invariants: both words change under mmu_lock held for writing only; in-progress > 0 from before
 * the first to after the last affected mapping is removed.
 * Line transfers: one read per fault; every invalidation takes the line from all who fault.
 * Deviation: the range of the invalidation in progress is not compared.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Fence, Order } from '../cpu/operations.ts';

export const InvalidateSequence = { Sequence: 0, InProgress: 4 } as const;
export const INVALIDATE_SEQUENCE_BYTES = 8;

/**
 * Before the page is looked up, with a read barrier behind it: the sequence is read before the page
 * tables of the host. And once more under the lock (mmu_invalidate_retry). Result in cpu.lo.
 */
export function invalidateSnapshot(cpu: Cpu, hi: number, lo: number): boolean {
  return cpu.load32(hi, lo + InvalidateSequence.Sequence, Order.Relaxed);
}

/**
 * Under mmu_lock, result in cpu.lo: not 0 = the page that was looked up may be gone. If it is 0, a
 * read barrier and another snapshot follow, and a sequence that has moved means the same.
 */
export function invalidateInProgress(cpu: Cpu, hi: number, lo: number): boolean {
  return cpu.load32(hi, lo + InvalidateSequence.InProgress, Order.Relaxed);
}

/** Under mmu_lock held for writing. */
export function* invalidateBegin(cpu: Cpu, hi: number, lo: number): Program {
  const at = lo + InvalidateSequence.InProgress;
  while (!cpu.load32(hi, at, Order.Relaxed)) yield;
  const inside = cpu.lo + 1;
  while (!cpu.store32(hi, at, inside, Order.Relaxed)) yield;
}

/** Under mmu_lock held for writing: the sequence moves before in-progress drops. */
export function* invalidateEnd(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.load32(hi, lo + InvalidateSequence.Sequence, Order.Relaxed)) yield;
  const next = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo + InvalidateSequence.Sequence, next, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DmbIshSt)) yield;
  const at = lo + InvalidateSequence.InProgress;
  while (!cpu.load32(hi, at, Order.Relaxed)) yield;
  const inside = cpu.lo - 1;
  while (!cpu.store32(hi, at, inside, Order.Relaxed)) yield;
}
