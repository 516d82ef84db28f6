/**
 * Kicking vCPUs out of the guest: kvm_make_all_cpus_request, kvm_vcpu_kick (virt/kvm/kvm_main.c).
 * Only vCPUs that are in guest mode are interrupted; the others look at what was changed before
 * their next entry.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Fence, Order } from '../../cpu/operations.ts';
import type { Vm } from './vm.ts';

/** The interrupt that makes a vCPU reload its root (vcpu.ts). */
export const KICK_VECTOR = 5;

/** Returns when every vCPU that was in the guest has answered. */
export function* kickGuests(cpu: Cpu, vm: Vm): Program {
  const { kvmHi, field } = vm;
  while (!cpu.store32(kvmHi, field.kicksAnswered, 0, Order.Release)) yield;
  while (!cpu.fence(Fence.DmbIsh)) yield;
  let kicked = 0;
  for (const vcpu of vm.image.vcpus) {
    assert(vcpu.cpu !== cpu.id, 'a vCPU thread kicks itself');
    while (!cpu.load32(vcpu.hi, vcpu.modeLo, Order.Acquire)) yield;
    if (cpu.lo === 0) continue;
    while (!cpu.ipi(vcpu.cpu, KICK_VECTOR)) yield;
    kicked++;
  }
  const at = field.kicksAnswered;
  while (!cpu.cond32(kvmHi, at, Condition.Equal, -1, kicked, Order.Acquire)) yield;
}
