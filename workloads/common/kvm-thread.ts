/**
 * Threads of a VMM on CPUs of their own: each opens the VM, is watched by RCU from its first
 * instruction to its last, and leaves no RCU callback behind.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { rcuExitIdle } from '../../src/kernel/base/rcu.ts';
import { runVcpu } from '../../src/kernel/stage2/vcpu.ts';
import { type KvmImage, openVms, type Vm } from '../../src/kernel/stage2/vm.ts';
import { type GuestPass, touchPages } from './guest-code.ts';

/** `body` is what the thread does; the image has one VM. */
export function* kvmThread(cpu: Cpu, image: KvmImage, body: (vm: Vm) => Program): Program {
  const vm = openVms(image)[0]!;
  yield* rcuExitIdle(cpu);
  yield body(vm);
  yield vm.rcu.finish(cpu);
}

/** One KVM_RUN: the guest makes one pass over its memory and leaves by GUEST_SYNC. */
export function runPass(cpu: Cpu, vm: Vm, index: number, pass: GuestPass): Program {
  return runVcpu(cpu, vm, index, (at, vcpu) => touchPages(at, vcpu, pass));
}
