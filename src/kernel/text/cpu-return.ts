/**
 * A CPU that comes up late gets the root of its node: secondaries from `secondary_data.ttbr1`,
 * which the boot CPU writes and cleans to the point of coherency before it kicks them, as they read
 * it with the MMU off ("arm64: text replication: boot secondary CPUs with appropriate TTBR1", v2
 * 00/17); CPUs that return from suspend (cpu_resume, arch/arm64/mm/proc.S, cpu_do_resume, v6.5)
 * likewise, and forget all translations. Who falls back to swapper_pg_dir works, on the text of the
 * first node.
 *
 * Deviation: caches keep what they had, and nothing of the path with the MMU off is emulated.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Register, Scope, Tlbi } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { HOST_VMID } from './host-stage2.ts';
import { copyFor, hasHostStage2, type KernelTextImage } from './image.ts';

/** secondary_data: one line for all, written by whoever brings a CPU up. */
export function bootSecondaryData(boot: BootMemory, node: number): Address {
  return toLinear(boot.allocateNamed('secondary_data', node, 64));
}

/** The steps that mutants replace. */
export interface CpuReturnSteps {
  /** The root that a CPU of the node is given. */
  rootOf(image: KernelTextImage, node: number): Address;
}

export const cpuReturnSteps: CpuReturnSteps = {
  rootOf: (image, node) => copyFor(image, node).root,
};

/** __cpu_up: what the CPU that is about to come up will read. */
export function* prepareSecondary(
  cpu: Cpu,
  image: KernelTextImage,
  data: Address,
  node: number,
  steps: CpuReturnSteps = cpuReturnSteps,
): Program {
  const root = steps.rootOf(image, node);
  while (!cpu.store64(data.hi, data.lo, root.hi, root.lo, Order.Relaxed)) yield;
  while (!cpu.cleanInvalidateLine(data.hi, data.lo)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

/** secondary_startup: with what is in secondary_data. */
export function* startSecondary(cpu: Cpu, data: Address): Program {
  while (!cpu.load64(data.hi, data.lo, Order.Acquire)) yield;
  yield* loadRoot(cpu, { hi: cpu.hi & ~LINEAR_MAP_HI, lo: cpu.lo });
}

/** cpu_resume of a CPU that was off. */
export function* cpuReturn(
  cpu: Cpu,
  image: KernelTextImage,
  steps: CpuReturnSteps = cpuReturnSteps,
): Program {
  yield* loadRoot(cpu, steps.rootOf(image, cpu.node));
  if (!hasHostStage2(image)) return;
  const { stage2 } = copyFor(image, cpu.node);
  while (!cpu.setRoot(Register.Vttbr, stage2!.hi, stage2!.lo, HOST_VMID)) yield;
  while (!cpu.tlbi(Tlbi.VmallE1, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.NonShareable)) yield;
}

/** TTBR1, and local_flush_tlb_all: nothing of the old root is left. */
function* loadRoot(cpu: Cpu, root: Address): Program {
  while (!cpu.setRoot(Register.Ttbr1, root.hi, root.lo, 0)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  while (!cpu.tlbi(Tlbi.VmallHost, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.NonShareable)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
}
