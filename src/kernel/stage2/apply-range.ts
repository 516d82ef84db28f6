/**
 * Long operations on stage 2 in chunks of the smallest block level (1 GiB with 4K pages), with a
 * resched point between them: stage2_apply_range, stage2_range_addr_end, cond_resched_rwlock_write
 * (arch/arm64/kvm/mmu.c). Caller holds mmu_lock for writing.
 *
 * Deviation: nobody else ever needs the CPU, so the lock is dropped and taken again at every
 * resched point, as rwlock_needbreak makes the kernel do when somebody waits.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Cost } from '../../machine/costs.ts';
import { rcuQuiescent } from '../base/rcu.ts';
import { alignDown } from './address.ts';
import type { Vm } from './vm.ts';

/** kvm_granule_size(KVM_PGTABLE_MIN_BLOCK_LEVEL) of 4K pages. */
const CHUNK_BYTES = 2 ** 30;

/** cond_resched_rwlock_write(&kvm->mmu_lock). */
export function* reschedMmuLock(cpu: Cpu, vm: Vm): Program {
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
  cpu.spend(Cost.Resched);
  yield* rcuQuiescent(cpu);
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
}

/** Applies `step` (result in cpu.ret) to [start, end), chunk by chunk, until one fails. */
export function* applyRange(
  cpu: Cpu,
  vm: Vm,
  start: number,
  end: number,
  resched: boolean,
  step: (from: number, bytes: number) => Program,
): Program {
  for (let from = start; from < end; ) {
    const next = Math.min(end, alignDown(from + CHUNK_BYTES, CHUNK_BYTES));
    yield* step(from, next - from);
    if (cpu.ret !== 0) return;
    if (resched && next !== end) yield* reschedMmuLock(cpu, vm);
    from = next;
  }
  cpu.ret = 0;
}
