/**
 * A spinlock where a reader-writer lock is asked for: readers exclude each other too. This is what
 * kvm->mmu_lock was on arm64 before it became an rwlock (v5.17: "KVM: arm64: Use read/write spin
 * lock for MMU protection").
 */

import type { Lock, ReadWriteLock } from './lock.ts';

export function asReadWriteLock(lock: Lock): ReadWriteLock {
  return {
    ...lock,
    acquireRead: (cpu, hi, lo) => lock.acquire(cpu, hi, lo),
    releaseRead: (cpu, hi, lo) => lock.release(cpu, hi, lo),
  };
}
