/**
 * zap=deferred-root: instead of unmapping a slot entry by entry under mmu_lock, the whole tree is
 * replaced by an empty root, every vCPU is kicked to load it, and the old tree is freed outside the
 * lock (x86: kvm_mmu_zap_all_fast, kvm_tdp_mmu_invalidate_all_roots,
 * kvm_tdp_mmu_zap_invalidated_roots; no arm64 kernel). All other slots fault back in.
 *
 * Deviations: the caller frees the old tree itself (x86: a worker); the old root is given up once
 * every vCPU has answered, so no reference counts on roots.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { kickGuests } from './kick.ts';
import { freeRoot, newRoot } from './root-tables.ts';
import { flushVmid } from './tlb-flush.ts';
import type { Vm } from './vm.ts';

/** Empties stage 2. Result in cpu.ret: 0 or -ENOMEM. slots_lock is held. */
export function* zapByNewRoot(cpu: Cpu, vm: Vm): Program {
  const { kvmHi, field } = vm;
  yield newRoot(cpu, vm);
  if (cpu.ret !== 0) return;
  const { hi, lo } = cpu;
  yield* vm.mmuLock.acquire(cpu, kvmHi, field.mmuLock);
  while (!cpu.load64(kvmHi, field.pgd, Order.Relaxed)) yield;
  const { hi: oldHi, lo: oldLo } = cpu;
  while (!cpu.store64(kvmHi, field.pgd, hi, lo, Order.Release)) yield;
  yield* vm.mmuLock.release(cpu, kvmHi, field.mmuLock);
  yield* kickGuests(cpu, vm);
  yield* flushVmid(cpu, vm);
  yield vm.rcu.synchronize(cpu);
  yield freeRoot(cpu, vm, oldHi, oldLo);
  cpu.ret = 0;
}
