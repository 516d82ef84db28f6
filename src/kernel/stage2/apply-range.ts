/**
 * Long operations on stage 2 in chunks of the smallest block level (1 GiB with 4K pages), with a
 * resched point between them: stage2_apply_range, stage2_range_addr_end, cond_resched_rwlock_write
 * (arch/arm64/kvm/mmu.c). Caller holds mmu_lock for writing.
 *
 * The lock is dropped where rwlock_needbreak says so: somebody waits (qrwlock: its wait_lock is
 * taken). Of other locks it can't be seen from outside; they are dropped at every such point.
 * Deviation: nobody else ever needs the CPU (need_resched is always false).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { rcuQuiescent } from '../base/rcu.ts';
import { alignDown } from './address.ts';
import type { Vm } from './vm.ts';

/** kvm_granule_size(KVM_PGTABLE_MIN_BLOCK_LEVEL) of 4K pages. */
const CHUNK_BYTES = 2 ** 30;

/** Offset of wait_lock in a qrwlock. */
const WAIT_LOCK = 4;

/** rwlock_needbreak(&kvm->mmu_lock) of a preemptible kernel; result in cpu.ok. */
export function* mmuLockNeedsBreak(cpu: Cpu, vm: Vm): Program {
  cpu.ok = true;
  if (vm.options.mmuLock !== 'qrwlock') return;
  while (!cpu.load32(vm.kvmHi, vm.field.mmuLock + WAIT_LOCK, Order.Relaxed)) yield;
  cpu.ok = cpu.lo !== 0;
}

/** cond_resched_rwlock_write(&kvm->mmu_lock). */
export function* reschedMmuLock(cpu: Cpu, vm: Vm): Program {
  yield* mmuLockNeedsBreak(cpu, vm);
  if (!cpu.ok) return;
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
  cpu.spend(Cost.Resched);
  while (!rcuQuiescent(cpu)) yield;
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
