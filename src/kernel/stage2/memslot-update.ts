/**
 * Changing memslots: kvm_set_memory_region, kvm_set_memslot, kvm_invalidate_memslot,
 * kvm_swap_active_memslots (virt/kvm/kvm_main.c), kvm_arch_flush_shadow_memslot
 * (arch/arm64/kvm/mmu.c). The change is made in the inactive set, the sets are swapped, and the
 * writer waits until no vCPU uses the old one. A slot that goes is first marked invalid, so that
 * faults on it fail while its mappings are removed.
 *
 * Deviation: slots_lock is a spinlock (one thread calls these ioctls); slots_arch_lock is left out.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { rcuQuiescent } from '../base/rcu.ts';
import { synchronizeSrcu } from '../base/srcu.ts';
import { readActiveSet, SlotFlag, setSlotPresent, writeSlotFlags } from './memslots.ts';
import { unmapRange } from './unmap.ts';
import type { SlotImage, Vm } from './vm.ts';
import { zapByNewRoot } from './zap-root.ts';

export function lockSlots(cpu: Cpu, vm: Vm): Program {
  return vm.spinlock.acquire(cpu, vm.kvmHi, vm.field.slotsLock);
}

export function* unlockSlots(cpu: Cpu, vm: Vm): Program {
  yield* vm.spinlock.release(cpu, vm.kvmHi, vm.field.slotsLock);
  while (!rcuQuiescent(cpu)) yield;
}

/** kvm_swap_active_memslots: waits for invalidations in progress, swaps, waits for readers. */
function* swapActiveSets(cpu: Cpu, vm: Vm, active: number): Program {
  const { kvmHi, field } = vm;
  yield* vm.spinlock.acquire(cpu, kvmHi, field.notifierLock);
  for (;;) {
    while (!cpu.load32(kvmHi, field.activeInvalidations, Order.Relaxed)) yield;
    if (cpu.lo === 0) break;
    yield* vm.spinlock.release(cpu, kvmHi, field.notifierLock);
    const count = field.activeInvalidations;
    while (!cpu.cond32(kvmHi, count, Condition.Equal, -1, 0, Order.Relaxed)) yield;
    yield* vm.spinlock.acquire(cpu, kvmHi, field.notifierLock);
  }
  while (!cpu.store32(kvmHi, field.memslots, active, Order.Release)) yield;
  yield* vm.spinlock.release(cpu, kvmHi, field.notifierLock);
  yield synchronizeSrcu(cpu, vm.image.srcu);
}

/** Makes one change visible: in the inactive set, swap, then in the other. slots_lock is held. */
function* commit(cpu: Cpu, vm: Vm, change: (set: number) => Program): Program {
  while (!readActiveSet(cpu, vm.kvmHi, vm.field.memslots)) yield;
  const active = cpu.ret;
  yield* change(active ^ 1);
  yield* swapActiveSets(cpu, vm, active ^ 1);
  yield* change(active);
}

/** KVM_MR_FLAGS_ONLY. */
export function* changeSlotFlags(cpu: Cpu, vm: Vm, slot: SlotImage, flags: number): Program {
  yield* commit(cpu, vm, (set) => writeSlotFlags(cpu, vm.image.memslots, set, slot.id, flags));
}

/** KVM_MR_CREATE: KVM_SET_USER_MEMORY_REGION for a slot that is not there. */
export function* createSlot(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  cpu.begin(Metric.MemslotModify);
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  const { memslots } = vm.image;
  yield* commit(cpu, vm, function* (set) {
    yield* writeSlotFlags(cpu, memslots, set, slot.id, 0);
    yield* setSlotPresent(cpu, memslots, set, slot, true);
  });
  yield* unlockSlots(cpu, vm);
  cpu.end(Metric.MemslotModify);
}

/** KVM_MR_DELETE: size 0. */
export function* deleteSlot(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  cpu.begin(Metric.MemslotModify);
  cpu.spend(Cost.Syscall);
  yield* lockSlots(cpu, vm);
  const { memslots } = vm.image;
  yield* changeSlotFlags(cpu, vm, slot, SlotFlag.Invalid);
  yield* flushShadowMemslot(cpu, vm, slot);
  yield* commit(cpu, vm, (set) => setSlotPresent(cpu, memslots, set, slot, false));
  yield* unlockSlots(cpu, vm);
  cpu.end(Metric.MemslotModify);
}

/** kvm_arch_flush_shadow_memslot. */
function* flushShadowMemslot(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  if (vm.options.zap === 'deferred-root') {
    yield zapByNewRoot(cpu, vm);
    return;
  }
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  yield unmapRange(cpu, vm, slot.baseIpa, slot.bytes, true);
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
}
