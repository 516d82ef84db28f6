/**
 * VMID rollover under stress: more VMs than VMIDs, and CPUs that run them in turn. A guest reads a
 * word that says whose memory it is, through its own stage 2: another VM's word came through a
 * translation that a VMID's earlier owner left behind, or shares it with.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { rcuExitIdle } from '../../kernel/base/rcu.ts';
import { type Stage2Steps, stage2Steps } from '../../kernel/stage2/steps.ts';
import { runVcpu } from '../../kernel/stage2/vcpu.ts';
import { openVms } from '../../kernel/stage2/vm.ts';
import { STALE_TLB } from '../oracles/stale-tlb.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { GUEST_VA } from './small-vm.ts';
import { bootSmallKvm, type SmallKvm } from './small-vm-kvm.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 4 * 24 * PAGE;
const ROLLED_OVER = 'VMIDs rolled over';
const KEPT = 'a VM kept its VMID over a rollover';

/** VMIDs 1 to 3, the least for two CPUs (there are more VMIDs than CPUs), and a VM more. */
const VMID_BITS = 2;
const VMS = 4;
const CPUS = 2;

export function vmidTarget(steps: Partial<Stage2Steps> = {}, name = 'vmid-rollover'): StressTarget {
  const all = { ...stage2Steps, ...steps };
  const { machine, backedBytes } = shapeOf(CPUS, ROOM_BYTES);
  const kvmOf = (image: StressImage): SmallKvm => image.parts!['kvm'] as SmallKvm;
  return {
    name,
    group: 'protocols',
    description: 'more virtual machines than VMIDs: ids of an old generation are used again',
    smallest: { cpus: 1, operations: 1 },
    usual: { cpus: CPUS, operations: 3 },
    goals: [
      { name: ROLLED_OVER, leastCpus: CPUS, leastOperations: 3 },
      { name: KEPT, leastCpus: CPUS, leastOperations: 3 },
    ],
    machine,
    backedBytes,
    boot(memory, { cpus }) {
      const kvm = bootSmallKvm(memory, {
        vms: VMS,
        vmidBits: VMID_BITS,
        cpus,
        options: {},
        mapped: true,
        contents: true,
        cached: 0,
        slotBytes: 2 * PAGE,
      });
      kvm.vms.forEach(({ blocks }, index) => {
        memory.write32(blocks[0]!, 0, ownWord(index));
      });
      return { addresses: {}, numbers: {}, parts: { kvm } };
    },
    program: (cpu, image, size, report) =>
      cpu.id < size.cpus ? runInTurn(cpu, kvmOf(image), size, all, report) : null,
    finish: (memory, image, _size, report) => tellGoals(memory, kvmOf(image), report),
  };
}

/** What a VM's memory says. */
function ownWord(index: number): number {
  return 0x100 + index;
}

/** CPU 0 enters its first VM twice, so that a rollover may come between; CPU 1 takes them all. */
function vmOfRound(cpu: number, round: number): number {
  return cpu === 0 ? Math.max(0, round - 1) % VMS : VMS - 1 - (round % VMS);
}

function* runInTurn(
  cpu: Cpu,
  { kvm }: SmallKvm,
  size: StressSize,
  steps: Stage2Steps,
  report: Reporter,
): Program {
  const vms = openVms(kvm, steps);
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 0; round < size.operations; round++) {
    const vm = vms[vmOfRound(cpu.id, round)]!;
    yield* runVcpu(cpu, vm, cpu.id, (at) => readOwn(at, vm.index, report));
    cpu.mark();
  }
  yield* vms[0]!.rcu.finish(cpu);
}

function* readOwn(cpu: Cpu, index: number, report: Reporter): Program {
  while (!cpu.load32(0, GUEST_VA | 0, Order.Relaxed)) yield;
  if (cpu.lo === ownWord(index)) return;
  const text = "a guest reads another VM's memory through a translation of its VMID";
  report.fail({ oracle: STALE_TLB, cpus: [cpu.id], text, hi: 0, lo: GUEST_VA | 0 });
}

/** Goals show in the ids that are left. */
function tellGoals(memory: Memory, { kvm }: SmallKvm, report: Reporter): void {
  const { vmids } = kvm;
  const word = (lo: number): number => memory.word({ hi: vmids.hi & 0xffff, lo });
  const generation = word(vmids.lo);
  if (generation > 1) report.reach(ROLLED_OVER);
  for (const cpu of vmids.cpus) {
    // A reserved id of the current generation was carried over by its VM.
    if (generation > 1 && word(vmids.cpusLo + cpu * 64 + 12) === generation) report.reach(KEPT);
  }
}
