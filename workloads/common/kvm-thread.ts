/**
 * Threads of a VMM on CPUs of their own: each opens the VM, is watched by RCU from its first
 * instruction to its last, and leaves no RCU callback behind. Roles follow the placement: vCPU
 * threads, the main thread, helpers of the workload, the source of MMU notifiers.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { rcuExitIdle } from '../../src/kernel/base/rcu.ts';
import { runNotifierSource, stopNotifierSource } from '../../src/kernel/stage2/notifier-sources.ts';
import { runVcpu } from '../../src/kernel/stage2/vcpu.ts';
import { type KvmImage, openVms, type Vm } from '../../src/kernel/stage2/vm.ts';
import type { WorkloadContext } from '../workload.ts';
import { GUEST_STREAMS, type GuestPass, touchPages } from './guest-code.ts';
import type { MemstressPlan } from './memstress.ts';

/** Streams of a workload that runs these threads. */
export const KVM_STREAMS: readonly string[] = [...GUEST_STREAMS, 'start', 'notifier'];
const STREAM_START = GUEST_STREAMS.length;
const STREAM_NOTIFIER = GUEST_STREAMS.length + 1;
/** Threads are created one after the other; how far apart they start is drawn below this. */
const START_SKEW_PS = 2_000_000;

export interface KvmRoles {
  vcpu(vm: Vm, index: number): Program;
  main(vm: Vm): Program;
  /** A CPU that is neither; `helper` counts from 0 behind the main thread's. */
  helper?(vm: Vm, helper: number): Program;
}

/** The program of one CPU; null if it has no role. The image has one VM. */
export function kvmProgram(
  cpu: Cpu,
  context: WorkloadContext,
  image: KvmImage,
  plan: MemstressPlan,
  roles: KvmRoles,
): Program | null {
  const role = context.placement.cpus.indexOf(cpu.id);
  if (role < 0) return null;
  if (role < plan.vcpus) return kvmThread(cpu, image, (vm) => vcpuThread(cpu, vm, role, roles));
  if (role === plan.vcpus) return kvmThread(cpu, image, (vm) => mainThread(cpu, vm, roles));
  if (cpu.id === plan.notifierCpu) {
    return kvmThread(cpu, image, (vm) =>
      runNotifierSource(cpu, vm, testSlots(vm, plan), STREAM_NOTIFIER),
    );
  }
  if (roles.helper === undefined) return null;
  return kvmThread(cpu, image, (vm) => roles.helper!(vm, role - plan.vcpus - 1));
}

function* kvmThread(cpu: Cpu, image: KvmImage, body: (vm: Vm) => Program): Program {
  const vm = openVms(image)[0]!;
  while (!rcuExitIdle(cpu)) yield;
  yield body(vm);
  yield vm.rcu.finish(cpu);
}

function* vcpuThread(cpu: Cpu, vm: Vm, index: number, roles: KvmRoles): Program {
  cpu.compute(cpu.random(STREAM_START) % START_SKEW_PS);
  yield roles.vcpu(vm, index);
}

function* mainThread(cpu: Cpu, vm: Vm, roles: KvmRoles): Program {
  yield roles.main(vm);
  yield* stopNotifierSource(cpu, vm);
}

/** The memslots of the test's memory: slot 0 holds the guest's page tables. */
export function testSlots(vm: Vm, plan: MemstressPlan): Vm['image']['slots'] {
  return vm.image.slots.slice(1, 1 + plan.slots);
}

/** One KVM_RUN: the guest makes one pass over its memory and leaves by GUEST_SYNC. */
export function runPass(cpu: Cpu, vm: Vm, index: number, pass: GuestPass): Program {
  return runVcpu(cpu, vm, index, (at, vcpu) => touchPages(at, vcpu, pass));
}
