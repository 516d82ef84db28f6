/**
 * A vCPU thread: kvm_arch_vcpu_ioctl_run, kvm_vcpu_enter_exit, kvm_arm_vmid_update, vcpu_load and
 * vcpu_put (arch/arm64/kvm/arm.c). Guest code runs as a program in the guest regime; a stage-2
 * abort is an exception to EL2 whose vector runs the exit path and returns to the guest, which
 * repeats its instruction. In the guest the CPU holds up no RCU grace period.
 *
 * Costs of exit and entry are charged by the engine at the exception; the first entry and the last
 * exit here. Deviations: no interrupts are injected, no timer, no preemption.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Level, Order, Regime, Register } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { rcuEnterIdle, rcuExitIdle } from '../base/rcu.ts';
import { ownWord, RcuCpu } from '../base/rcu-state.ts';
import { handleGuestAbort } from './fault.ts';
import { KICK_VECTOR } from './kick.ts';
import { newVcpu, type Vcpu } from './vcpu-state.ts';
import type { Vm } from './vm.ts';
import { clearActiveVmid, updateVmid } from './vmid.ts';

const OUTSIDE_GUEST_MODE = 0;
const IN_GUEST_MODE = 1;

/**
 * Runs guest code on vCPU `index`. The program of `guest` executes with guest-virtual addresses;
 * between its accesses it calls endStall where a fault may have happened.
 */
export function* runVcpu(
  cpu: Cpu,
  vm: Vm,
  index: number,
  guest: (cpu: Cpu, vcpu: Vcpu) => Program,
): Program {
  const vcpu = newVcpu(vm, index);
  yield* enterVcpu(cpu, vcpu);
  yield guest(cpu, vcpu);
  yield* leaveVcpu(cpu, vcpu);
}

/** KVM_RUN up to the first guest instruction; for guests that leave for user space in between. */
export function* enterVcpu(cpu: Cpu, vcpu: Vcpu): Program {
  const { vm } = vcpu;
  cpu.spend(Cost.Syscall);
  cpu.setVector(Level.El2, (at) => exitToEl2(at, vcpu));
  cpu.setInterrupt(KICK_VECTOR, (at) => answerKick(at, vcpu));
  yield* loadStage2(cpu, vcpu);
  const { rootHi, rootLo } = vm.image.guest;
  while (!cpu.setRoot(Register.GuestTtbr0, rootHi, rootLo, 0)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  while (!rcuEnterIdle(cpu)) yield;
  cpu.spend(Cost.GuestEntry);
  cpu.setRegime(Regime.Guest);
}

/** Exit to user space (ucall): the thread is in the host again. */
export function* leaveVcpu(cpu: Cpu, vcpu: Vcpu): Program {
  cpu.setRegime(Regime.Host);
  cpu.spend(Cost.GuestExit);
  while (!setMode(cpu, vcpu, OUTSIDE_GUEST_MODE)) yield;
  while (!rcuExitIdle(cpu)) yield;
  while (!clearActiveVmid(cpu, vcpu.vm.vmids)) yield;
  cpu.spend(Cost.Syscall);
}

/**
 * Ends the measurement of a guest access that had faulted; call it when the access is performed.
 */
export function endStall(cpu: Cpu, vcpu: Vcpu): void {
  if (!vcpu.stalled) return;
  vcpu.stalled = false;
  cpu.end(Metric.FaultStall);
}

/** One guest store of 8 bytes, faults included. */
export function* guestStore(
  cpu: Cpu,
  vcpu: Vcpu,
  vaHi: number,
  vaLo: number,
  hi: number,
  lo: number,
): Program {
  while (!cpu.store64(vaHi, vaLo, hi, lo, Order.Relaxed)) yield;
  endStall(cpu, vcpu);
}

/** One guest load of 8 bytes, faults included. */
export function* guestLoad(cpu: Cpu, vcpu: Vcpu, vaHi: number, vaLo: number): Program {
  while (!cpu.load64(vaHi, vaLo, Order.Relaxed)) yield;
  endStall(cpu, vcpu);
}

/** The vector: one exit from exception entry to ERET. */
function* exitToEl2(cpu: Cpu, vcpu: Vcpu): Program {
  const { vm } = vcpu;
  cpu.begin(Metric.FaultService);
  if (!vcpu.stalled) {
    vcpu.stalled = true;
    cpu.begin(Metric.FaultStall);
  }
  while (!setMode(cpu, vcpu, OUTSIDE_GUEST_MODE)) yield;
  while (!rcuExitIdle(cpu)) yield;
  yield handleGuestAbort(cpu, vm, vcpu);
  while (!cpu.load32(cpu.perCpuHi(cpu.id), ownWord(cpu, RcuCpu.Queued), Order.Relaxed)) yield;
  if (cpu.lo !== 0) yield vm.rcu.poll(cpu);
  yield* loadStage2(cpu, vcpu);
  while (!rcuEnterIdle(cpu)) yield;
  cpu.end(Metric.FaultService);
}

/** vcpu->mode. */
function setMode(cpu: Cpu, vcpu: Vcpu, mode: number): boolean {
  return cpu.store32(vcpu.image.hi, vcpu.image.modeLo, mode, Order.Relaxed);
}

/**
 * kvm_arm_vmid_update and __load_stage2: VTTBR follows a new VMID or a new root. With interrupts
 * off from here on, a kick can't fall between reading the root and loading it.
 */
function* loadStage2(cpu: Cpu, vcpu: Vcpu): Program {
  const { vm } = vcpu;
  const { kvmHi, field } = vm;
  const interrupts = cpu.interrupts(false);
  yield* updateVmid(cpu, vm.vmids, vm.spinlock, kvmHi, field.vmid, vm.steps);
  const vmid = cpu.lo;
  while (!setMode(cpu, vcpu, IN_GUEST_MODE)) yield;
  // The mode is seen before the requests are looked at.
  while (!cpu.fence(Fence.DmbIsh)) yield;
  while (!cpu.load64(kvmHi, field.pgd, Order.Relaxed)) yield;
  const { hi, lo } = cpu;
  if (vmid !== vcpu.vmid || hi !== vcpu.rootHi || lo !== vcpu.rootLo) {
    vcpu.vmid = vmid;
    vcpu.rootHi = hi;
    vcpu.rootLo = lo;
    while (!cpu.setRoot(Register.Vttbr, hi, lo, vmid)) yield;
  }
  cpu.interrupts(interrupts);
}

/** KVM_REQ_RELOAD of a vCPU in the guest: the root was swapped; says so to whoever waits. */
function* answerKick(cpu: Cpu, vcpu: Vcpu): Program {
  const { kvmHi, field } = vcpu.vm;
  while (!cpu.load64(kvmHi, field.pgd, Order.Acquire)) yield;
  vcpu.rootHi = cpu.hi;
  vcpu.rootLo = cpu.lo;
  while (!cpu.setRoot(Register.Vttbr, vcpu.rootHi, vcpu.rootLo, vcpu.vmid)) yield;
  while (!cpu.add32(kvmHi, field.kicksAnswered, 1, Order.Release)) yield;
}
