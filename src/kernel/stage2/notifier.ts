/**
 * The MMU notifier of KVM (virt/kvm/kvm_main.c: kvm_mmu_notifier_invalidate_range_start, _end,
 * kvm_handle_hva_range, clear_young) and who calls it: page migration and NUMA balancing.
 *
 * Between start and end no fault may install a mapping of the range: the fault path compares
 * mmu_invalidate_seq under mmu_lock and gives up with -EAGAIN, whichever came first.
 *
 * Deviations: the range of an invalidation is not compared, as on arm64; only the VM that owns the
 * memory is notified.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { invalidateBegin, invalidateEnd } from '../../sync/invalidate-sequence.ts';
import { srcuReadLock, srcuReadUnlock } from '../base/srcu.ts';
import { testClearYoung } from './age.ts';
import { unmapRange } from './unmap.ts';
import type { SlotImage, Vm } from './vm.ts';

/** Offsets and sizes are inside the slot. */
export function* invalidateStartNotify(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  bytes: number,
): Program {
  const { kvmHi, field } = vm;
  cpu.begin(Metric.NotifierInvalidate);
  cpu.count(Counter.NotifierFired, 1);
  yield* addActive(cpu, vm, 1);
  yield* srcuReadLock(cpu, vm.image.srcu);
  const index = cpu.ret;
  yield* vm.mmuLock.acquire(cpu, kvmHi, field.mmuLock);
  yield* invalidateBegin(cpu, kvmHi, field.invalidate);
  yield unmapRange(cpu, vm, slot.baseIpa + offset, bytes, true);
  yield* vm.mmuLock.release(cpu, kvmHi, field.mmuLock);
  while (!srcuReadUnlock(cpu, vm.image.srcu, index)) yield;
}

export function* invalidateEndNotify(cpu: Cpu, vm: Vm): Program {
  const { kvmHi, field } = vm;
  yield* srcuReadLock(cpu, vm.image.srcu);
  const index = cpu.ret;
  yield* vm.mmuLock.acquire(cpu, kvmHi, field.mmuLock);
  yield* invalidateEnd(cpu, kvmHi, field.invalidate);
  yield* vm.mmuLock.release(cpu, kvmHi, field.mmuLock);
  while (!srcuReadUnlock(cpu, vm.image.srcu, index)) yield;
  yield* addActive(cpu, vm, -1);
  cpu.end(Metric.NotifierInvalidate);
}

/** mn_active_invalidate_count: memslot updates wait until it is zero. */
function* addActive(cpu: Cpu, vm: Vm, change: number): Program {
  const { kvmHi, field } = vm;
  yield* vm.spinlock.acquire(cpu, kvmHi, field.notifierLock);
  while (!cpu.load32(kvmHi, field.activeInvalidations, Order.Relaxed)) yield;
  const count = cpu.lo + change;
  while (!cpu.store32(kvmHi, field.activeInvalidations, count, Order.Relaxed)) yield;
  yield* vm.spinlock.release(cpu, kvmHi, field.notifierLock);
}

/** kvm_mmu_notifier_clear_young for one page: under mmu_lock held for writing, no flush. */
export function* clearYoungNotify(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  offset: number,
  bytes: number,
): Program {
  const { kvmHi, field } = vm;
  yield* srcuReadLock(cpu, vm.image.srcu);
  const index = cpu.ret;
  yield* vm.mmuLock.acquire(cpu, kvmHi, field.mmuLock);
  yield* testClearYoung(cpu, vm, slot.baseIpa + offset, bytes);
  const young = cpu.ok;
  yield* vm.mmuLock.release(cpu, kvmHi, field.mmuLock);
  while (!srcuReadUnlock(cpu, vm.image.srcu, index)) yield;
  cpu.ok = young;
}
